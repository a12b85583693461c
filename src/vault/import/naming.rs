//! What columns are called in lists of other programs, and what they would be called here.

use crate::vault::draft::Column;
use std::collections::BTreeSet;

/// What the column of addresses is called in lists of other programs: it means what the name given means here.
pub fn meant_for_address(name: &str) -> Option<&'static str> {
    const EMAIL: [&str; 17] = [
        "email",
        "emailaddress",
        "emailaddr",
        "mail",
        "mailaddress",
        "emailid",
        "emailadresse",
        "mailadresse",
        "adressemail",
        "courriel",
        "correo",
        "correoelectronico",
        "subscriberemail",
        "email1value",
        "emailaddress1",
        "primaryemail",
        "workemail",
    ];
    const PHONE: [&str; 10] = [
        "phone",
        "phonenumber",
        "mobile",
        "mobilephone",
        "mobilenumber",
        "telephone",
        "telefon",
        "handy",
        "cellphone",
        "phone1value",
    ];
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let word = letters.to_ascii_lowercase();
    match () {
        () if EMAIL.contains(&word.as_str()) => Some("email"),
        () if PHONE.contains(&word.as_str()) => Some("phone"),
        () => None,
    }
}

/// What may be a name and is most like the text: `First Name` becomes `first_name`.
pub fn as_name(text: &str) -> Option<String> {
    if let Some(address) = meant_for_address(text) {
        return Some(address.into());
    }
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_");
    // Letters that a name cannot have are not left out without a word.
    let is_whole = text.chars().all(|c| c.is_ascii() || !c.is_alphanumeric());
    (is_whole && name.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(name)
}

/// Names for all columns, where more than one has none that can be written as `{{person.NAME}}`, and those found are all different.
pub fn better_names(header: &[String]) -> Option<Vec<String>> {
    let is_name = |name: &String| Column::named(name).is_ok();
    let better = |name: &String| if is_name(name) { Some(name.clone()) } else { as_name(name) };
    let names: Vec<String> = header.iter().map(better).collect::<Option<_>>()?;
    let different: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let odd = header.iter().filter(|name| !is_name(name)).count();
    (odd > 1 && different.len() == names.len()).then_some(names)
}

/// Whether it is one of those in which programs say who must not be mailed, or may be: `HasOptedOutOfEmail`, `EMAIL_BLACKLIST`,
/// `email_marketing_consent`; not when or where that was said.
pub fn reads_like_consent(name: &str) -> bool {
    const PARTS: [&str; 15] = [
        "optin",
        "optout",
        "optedin",
        "optedout",
        "consent",
        "unsubscribed",
        "subscribed",
        "blacklist",
        "blocklist",
        "donotcontact",
        "donotemail",
        "donotmail",
        "marketingstatus",
        "marketingcontactstatus",
        "einwilligung",
    ];
    const ASIDES: [&str; 9] = ["time", "date", "at", "on", "ip", "source", "reason", "by", "url"];
    let words: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let word = words.to_ascii_lowercase();
    let last = name.rsplit('_').next().unwrap_or_default().to_ascii_lowercase();
    PARTS.iter().any(|part| word.contains(part)) && !ASIDES.contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b11_columns_that_say_who_may_be_mailed_are_known() {
        for name in [
            "HasOptedOutOfEmail",
            "EMAIL_BLACKLIST",
            "email_marketing_consent",
            "Unsubscribed",
            "opt_in",
            "do_not_contact",
            "marketing_contact_status",
        ] {
            assert!(reads_like_consent(name), "{name}");
        }
        for name in [
            "OPTIN_TIME",
            "optin_ip",
            "consent_date",
            "options",
            "company",
            "subscription_fee",
            "unsubscribe_url",
            "list",
        ] {
            assert!(!reads_like_consent(name), "{name}");
        }
    }

    #[test]
    fn b11_names_are_found_for_a_whole_header() {
        let header = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = better_names(&header(&["Record ID", "First Name", "E-mail 1 - Value", "city"])).unwrap();
        assert_eq!(names, ["record_id", "first_name", "email", "city"]);
        assert_eq!(better_names(&header(&["email", "First Name"])), None, "that one is told by itself");
        assert_eq!(better_names(&header(&["First Name", "First-Name", "email"])), None);
        assert_eq!(better_names(&header(&["Prénom", "First Name", "email"])), None);
    }
}
