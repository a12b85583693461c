//! What a message loads only where it is used, and how far that may depend on a person.

use super::services::is_font_service;
use super::style::{self, Kind};

/// By how much the HTML differs from person to person. What a style sheet loads may depend on each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// By values in texts.
    Values,
    /// By whether there is a text.
    Texts,
    /// By elements or attributes.
    Markup,
}

/// Something that is loaded only where it is used.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub address: String,
    /// From which extent on it depends on the person whether it is.
    pub from: Extent,
    pub way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By `<link>` or `@import`: of what it holds nobody here knows more than that it may select by anything.
    Elsewhere,
    /// By a rule, beside others that tell texts apart.
    SeesText,
    /// By a rule, an attribute or a font, where it applies.
    Used,
    /// By an element, as long as no rule hides it.
    Shown,
}

impl Load {
    /// What is loaded where it applies.
    pub fn used(address: String, from: Extent) -> Self {
        Self { address, from, way: Way::Used }
    }

    /// What a style sheet of the message loads, which tells texts apart or not.
    pub fn of_sheet(load: style::Load, sees_text: bool) -> Self {
        let (from, way) = match load.kind {
            Kind::Sheet => (Extent::Values, Way::Elsewhere),
            Kind::Font | Kind::Rule if sees_text => (Extent::Values, Way::SeesText),
            Kind::Font => return Self::used(load.address, Extent::Texts),
            Kind::Rule => return Self::used(load.address, Extent::Markup),
        };
        Self { address: load.address, from, way }
    }

    /// Cause and fix, where the field of a person decides.
    pub fn refusal(&self, field: &str) -> (String, &'static str) {
        let address = &self.address;
        match self.way {
            Way::Elsewhere => (
                format!(
                    "{address} comes from elsewhere, and a style sheet may fetch one address or another by what a text \
                     holds: beside person.{field} whoever serves it could learn the value"
                ),
                "write its rules into <style>; fonts may come from fonts.googleapis.com, fonts.gstatic.com or \
                 fonts.bunny.net; or name the URL as it stands in branch_urls of template.toml",
            ),
            Way::SeesText => (
                format!(
                    "{address} is loaded by a style sheet with rules that tell texts apart (unicode-range, :empty and their \
                     like), which person.{field} may decide here: whoever sees what is fetched would learn the value"
                ),
                "leave those rules out, or name the URL as it stands in branch_urls of template.toml",
            ),
            Way::Shown => (
                format!(
                    "{address} is loaded only where it is shown, and a rule of a style sheet may hide it by what person.{field} \
                     decides here: whoever sees what is fetched would learn the value"
                ),
                "show it with an img, which is loaded in any case, take the rule out, or name the URL as it stands in \
                 branch_urls of template.toml",
            ),
            Way::Used => (
                format!(
                    "{address} is loaded only where it is used, which person.{field} may decide here: whoever sees what is \
                     fetched would learn the value"
                ),
                "put it where it is loaded for everybody (img, background of a style attribute), or name the URL as it \
                 stands in branch_urls of template.toml",
            ),
        }
    }
}

/// A `<link>` that is the same for everybody.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    address: String,
    /// All that its `rel` say.
    kind: String,
}

impl Link {
    /// Of two addresses the first one counts.
    pub fn leads_to(&mut self, address: &str) {
        if self.address.is_empty() {
            address.clone_into(&mut self.address);
        }
    }

    pub fn is(&mut self, kind: &str) {
        self.kind.extend(kind.trim().chars().map(|c| c.to_ascii_lowercase()).chain([' ']));
    }

    pub fn load(self) -> Option<Load> {
        // They are fetched in any case, or not at all, and hold no style that is used; without `rel` nothing is.
        const IN_ANY_CASE: [&str; 7] =
            ["", "preload", "preconnect", "dns-prefetch", "icon", "shortcut icon", "apple-touch-icon"];
        let Self { address, kind } = self;
        let is_known = IN_ANY_CASE.contains(&kind.trim());
        let is_style = !address.is_empty() && !is_known && !is_font_service(&address);
        is_style.then_some(Load { address, from: Extent::Values, way: Way::Elsewhere })
    }
}
