//! Services of fonts.

/// Whose style sheets and fonts hold nothing but fonts, so that no sender can put a rule of its own into them.
const FONT_SERVICES: [&str; 3] = ["fonts.googleapis.com", "fonts.gstatic.com", "fonts.bunny.net"];

pub(super) fn is_font_service(address: &str) -> bool {
    let rest = address.trim();
    // A value, or more than one way to go on.
    if rest.contains('\u{fffd}') {
        return false;
    }
    let behind = |scheme: &str| {
        rest.get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme))
            .map(|_| &rest[scheme.len()..])
    };
    let Some(rest) = ["https://", "http://", "//"].into_iter().find_map(behind) else { return false };
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    FONT_SERVICES.iter().any(|service| service.eq_ignore_ascii_case(host))
}

/// Whether an address of one of them stands in the text.
pub(super) fn names_font_service(css: &str) -> bool {
    FONT_SERVICES.iter().any(|service| css.contains(&format!("//{service}/")))
}
