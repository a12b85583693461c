//! What refused rows withdraw about somebody who is not in the vault: kept to the end of the import, because a later row may bring the
//! person.

use crate::person::Consent;
use crate::vault::draft::Draft;
use crate::vault::keyring::LookupHash;
use crate::vault::named::Named;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Most addresses and tokens that are held: some 100 MB.
const NAMES_MAX: usize = 1_000_000;

/// Who was named. A phone beside an e-mail address means only people who have no address, as wherever people are told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    hash: LookupHash,
    is_beside_email: bool,
}

pub struct Unplaced {
    refused: HashMap<Name, Arc<BTreeSet<Box<str>>>>,
    /// Files withdraw the same few purposes again and again.
    purposes: BTreeSet<Arc<BTreeSet<Box<str>>>>,
    names_max: usize,
    forgotten: u64,
}

impl Default for Unplaced {
    fn default() -> Self {
        Self::holding(NAMES_MAX)
    }
}

impl Unplaced {
    fn holding(names_max: usize) -> Self {
        Self { refused: HashMap::new(), purposes: BTreeSet::new(), names_max, forgotten: 0 }
    }

    /// Names that found no place any more.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Keeps what `said` refuses for those whom `named` names and who are not there yet.
    pub fn keep(&mut self, said: &Draft, named: &Named, is_there: impl Fn(&LookupHash) -> bool) {
        let refused = said.consents.iter().filter(|(_, said)| *said == Consent::Refused);
        let refused: BTreeSet<Box<str>> = refused.map(|(purpose, _)| purpose.clone()).collect();
        for name in names(named, named.email.is_some()).filter(|name| !is_there(&name.hash)) {
            let known = self.refused.get(&name);
            if known.is_none() && self.refused.len() >= self.names_max {
                self.forgotten += 1;
                continue;
            }
            let all = known.map_or_else(|| refused.clone(), |known| known.union(&refused).cloned().collect());
            let all = self.shared(all);
            if let Some(before) = self.refused.insert(name, all) {
                self.let_go(before);
            }
        }
    }

    /// Of what nobody else refuses nothing stays: one name may come with another purpose in each row.
    fn let_go(&mut self, purposes: Arc<BTreeSet<Box<str>>>) {
        const OWN_AND_THIS: usize = 2;
        if Arc::strong_count(&purposes) == OWN_AND_THIS {
            self.purposes.remove(&purposes);
        }
    }

    fn shared(&mut self, purposes: BTreeSet<Box<str>>) -> Arc<BTreeSet<Box<str>>> {
        if let Some(known) = self.purposes.get(&purposes) {
            return known.clone();
        }
        let purposes = Arc::new(purposes);
        self.purposes.insert(purposes.clone());
        purposes
    }

    /// What was refused for somebody who comes by these names now, where `draft` itself says nothing about it. `None` where that is nothing.
    pub fn for_newcomer(
        &self,
        draft: &Draft,
        named: &Named,
        has_email: bool,
        is_there: impl Fn(&LookupHash) -> bool,
    ) -> Option<Draft> {
        if self.refused.is_empty() {
            return None;
        }
        let beside = names(named, true).filter(|name| name.is_beside_email && !has_email);
        let new = names(named, false).chain(beside).filter(|name| !is_there(&name.hash));
        let refused = new.filter_map(|name| self.refused.get(&name)).flat_map(|purposes| purposes.iter());
        let unsaid: BTreeSet<&str> = refused
            .map(|purpose| &**purpose)
            .filter(|purpose| draft.consent(purpose) == Consent::Unstated)
            .collect();
        (!unsaid.is_empty()).then(|| Draft::withdrawing(unsaid))
    }
}

fn names(named: &Named, is_beside_email: bool) -> impl Iterator<Item = Name> {
    let plain = |hash| Name { hash, is_beside_email: false };
    let phone = named.phone.map(|hash| Name { hash, is_beside_email });
    named.tokens().chain(named.email).map(plain).chain(phone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::tests::draft;

    #[test]
    fn b6_so_many_are_kept_and_the_others_counted() {
        let (_, _, keys) = crate::vault::store::scratch().unwrap();
        let mut unplaced = Unplaced::holding(2);
        let of = |email: &str| Named::of(&keys, &draft(&[("email", email)]));
        for email in ["a@x.test", "b@x.test", "a@x.test", "c@x.test"] {
            unplaced.keep(&draft(&[("email", email), ("consent", "-news")]), &of(email), |_| false);
        }
        assert_eq!(unplaced.forgotten(), 1);
        let found = |email: &str| {
            let said = unplaced.for_newcomer(&draft(&[("email", email)]), &of(email), true, |_| false);
            said.map(|said| said.consent("news"))
        };
        assert_eq!([found("a@x.test"), found("c@x.test")], [Some(Consent::Refused), None]);
    }

    #[test]
    fn b6_a_name_that_refuses_more_and_more_holds_one_set() {
        let (_, _, keys) = crate::vault::store::scratch().unwrap();
        let mut unplaced = Unplaced::default();
        let named = Named::of(&keys, &draft(&[("email", "a@x.test")]));
        for number in 0..20 {
            let consent = format!("-news{number}");
            unplaced.keep(&draft(&[("email", "a@x.test"), ("consent", &consent)]), &named, |_| false);
        }
        assert_eq!(unplaced.purposes.iter().map(|set| set.len()).collect::<Vec<_>>(), [20]);
    }
}
