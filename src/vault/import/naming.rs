//! What columns are called in lists of other programs, and what they would be called here.

use crate::person::{EMAIL, PHONE};
use crate::vault::column::Column;
use std::collections::BTreeSet;

/// What the column of addresses is called in lists of other programs: it means what the name given means here.
pub fn meant_for_address(name: &str) -> Option<&'static str> {
    const EMAIL: [&str; 18] = [
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
        "email2",
        "email1value",
        "emailaddress1",
        "primaryemail",
        "workemail",
    ];
    const PHONE: [&str; 14] = [
        "sms",
        "telefonnummer",
        "handynummer",
        "mobil",
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
    let better = |name: &String| match meant_by_one(header, name) {
        Some(meant) => Some(meant.to_owned()),
        None if is_name(name) => Some(name.clone()),
        None => as_name(name),
    };
    let names: Vec<String> = header.iter().map(better).collect::<Option<_>>()?;
    let different: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let odd = header.iter().filter(|name| !is_name(name)).count();
    (odd > 1 && different.len() == names.len()).then_some(names)
}

/// What a column that has a name already is called here, where no other one means the same: `Telefon` is `phone`.
fn meant_by_one(header: &[String], name: &str) -> Option<&'static str> {
    let meant = |name: &str| match Column::named(name) {
        Ok(Column::Email) => Some(EMAIL),
        Ok(Column::Phone) => Some(PHONE),
        _ => meant_for_address(name),
    };
    let is_field = matches!(Column::named(name), Ok(Column::Field(_)));
    let mine = meant(name).filter(|_| is_field)?;
    (header.iter().filter(|other| meant(other) == Some(mine)).count() == 1).then_some(mine)
}

#[rustfmt::skip]
const PARTS_OF_CONSENT: [&str; 43] = [
    "optin", "optout", "optedin", "optedout", "consent", "unsubscribed", "subscribed", "blacklist", "blocklist", "donotcontact", "donotemail",
    "donotmail", "donotbulk", "donotsend", "marketingstatus", "marketingcontactstatus", "subscriptionstatus", "acceptsemail", "acceptssms",
    "acceptsmarketing", "suppress", "einwilligung", "werbesperre", "mailsperre", "widerspruch", "consentement", "consentimiento", "consenso",
    "toestemming", "desinscrit", "desabonne", "zgoda", "donotcall", "donotallow", "emailstatus", "permissionstatus", "newsletterstatus", "canemail",
    "donotphone", "bounced", "robinson", "complained", "abgemeldet",
];
/// Where they are the whole name.
const WHOLES_OF_CONSENT: [&str; 7] =
    ["baja", "bounce", "hardbounce", "softbounce", "complaint", "spamcomplaint", "gesperrt"];
/// Last words of names that tell when, where or how it was said.
#[rustfmt::skip]
const ASIDES: [&str; 36] = [
    "time", "date", "at", "on", "ip", "source", "reason", "by", "url", "timestamp", "ts", "method", "text", "version", "id", "page", "form", "title",
    "campaign", "link", "language", "datum", "zeit", "uhrzeit", "quelle", "grund", "history",
    "plan", "since", "products", "channel", "country", "document", "hash", "location", "agent",
];
/// Of these a day is there only where somebody is gone: `unsubscribed_at`, `opt_out_date`.
const LEAVINGS: [&str; 6] = ["unsubscribed", "unsubscribe", "optout", "optedout", "bounced", "complained"];
const DAYS: [&str; 4] = ["at", "on", "date", "time"];
/// In lists of those who are gone.
const OF_THE_GONE: [&str; 5] =
    ["unsubtime", "unsubreason", "unsubcampaigntitle", "cleantime", "cleancampaigntitle"];

/// Whether it is one of those in which programs say who must not be mailed, or may be: `HasOptedOutOfEmail`, `EMAIL_BLACKLIST`,
/// `accepts_email_marketing`, `UNSUB_TIME`.
pub fn reads_like_consent(name: &str) -> bool {
    let words = words(name);
    let whole = words.concat();
    let last = words.last().map_or("", String::as_str);
    let is_newsletter = last == "newsletter" && words.first().is_none_or(|first| first != "last");
    let is_day_of_leaving = || {
        whole.strip_suffix(last).is_some_and(|what| LEAVINGS.iter().any(|leaving| what.ends_with(leaving)))
    };
    OF_THE_GONE.contains(&whole.as_str())
        || DAYS.contains(&last) && is_day_of_leaving()
        || !ASIDES.contains(&last)
            && (is_newsletter
                || words.iter().any(|word| word == "dnc")
                || WHOLES_OF_CONSENT.contains(&whole.as_str())
                || PARTS_OF_CONSENT.iter().any(|part| has_part(&words, &whole, part)))
}

/// Whether it is there from the beginning of a word on, or within one: `opt_in` and `emailoptin`, and not `shop_tin`.
fn has_part(words: &[String], whole: &str, part: &str) -> bool {
    let mut at = 0;
    let mut places = words.iter().map(|word| {
        at += word.len();
        (at - word.len(), at)
    });
    whole.contains(part)
        && places.any(|(from, to)| whole[from..].starts_with(part) || whole[from..to].contains(part))
}

/// Whether a column of that name most likely holds addresses or numbers of phones.
pub fn reads_like_address(name: &str) -> bool {
    const WORDS: [&str; 16] = [
        "email",
        "emails",
        "mail",
        "phone",
        "mobile",
        "telephone",
        "telefon",
        "tel",
        "handy",
        "cell",
        "cellphone",
        "msisdn",
        "whatsapp",
        "fax",
        "rufnummer",
        "telefonnummer",
    ];
    let words = words(name);
    let is_id = words.last().is_some_and(|last| last == "id");
    meant_for_address(name).is_some() || !is_id && words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name, in small letters: `has_opted_out` has three, `hasOptedOut` too, and `OPTIN_IP` two.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for c in name.chars() {
        let begins = !before.is_ascii_alphanumeric() || before.is_ascii_lowercase() && c.is_ascii_uppercase();
        if c.is_ascii_alphanumeric() {
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b11_columns_that_say_who_may_be_mailed_are_known() {
        for name in [
            "HasOptedOutOfEmail",
            "HasOptedOutOfFax",
            "EMAIL_BLACKLIST",
            "SMS_BLACKLISTED",
            "email_marketing_consent",
            "sms_marketing_consent",
            "Unsubscribed",
            "opt_in",
            "OPT_IN",
            "do_not_contact",
            "marketing_contact_status",
            "accepts_email_marketing",
            "accepts_sms_marketing",
            "AcceptsMarketing",
            "donotbulkemail",
            "donotemail",
            "donotbulkpostalmail",
            "donotsendmm",
            "hs_email_optout",
            "hs_email_optout_8675309",
            "unsubscribed_from_all_email",
            "opted_out_of_email_marketing_information",
            "Newsletter",
            "weekly_newsletter",
            "Werbeeinwilligung",
            "werbesperre",
            "email_suppressions",
            "UNSUB_TIME",
            "CLEAN_TIME",
            "consentement_marketing",
            "double_opt_in",
            "DoNotCall",
            "email_status",
            "permission_status",
            "unsubscribed_at",
            "unsubscribed_date",
            "email_opt_out_date",
            "newsletter_status",
            "dnc",
            "can_email",
            "do_not_allow_bulk_emails",
            "bounced",
            "email_bounced",
            "bounced_at",
            "hard_bounce",
            "Robinson",
            "robinsonliste",
            "baja",
            "complained",
            "abgemeldet_am",
        ] {
            assert!(reads_like_consent(name), "{name}");
        }
    }

    #[test]
    fn b11_columns_of_when_and_how_somebody_was_asked_give_no_alarm() {
        for name in [
            "OPTIN_TIME",
            "OPTIN_IP",
            "CONFIRM_TIME",
            "MEMBER_RATING",
            "LAST_CHANGED",
            "optin_ip",
            "consent_date",
            "consent_timestamp",
            "consentTimestamp",
            "consent_source",
            "consent_ip",
            "consent_text_version",
            "email_marketing_consent_timestamp",
            "einwilligung_datum",
            "options",
            "company",
            "subscription_fee",
            "unsubscribe_url",
            "list",
            "newsletter_language",
            "last_newsletter",
            "subscribed_at",
            "customer_id",
            "clean",
            "subscribed_plan",
            "subscribed_since",
            "subscribed_products",
            "optin_channel",
            "optin_country",
            "consent_document",
            "consent_channel",
            "consent_hash",
            "opt_in_location",
            "shop_tin",
            "american_email",
            "trabaja",
            "bounce_rate",
            "subscription_bounce_house",
            "first_name",
        ] {
            assert!(!reads_like_consent(name), "{name}");
        }
    }

    #[test]
    fn a4_columns_of_addresses_are_known_by_their_names() {
        for name in [
            "E-Mail",
            "EMAIL",
            "work_email",
            "email2",
            "Phone",
            "mobilePhone",
            "mobile_number",
            "Telefon",
            "handy",
            "contact_tel",
            "msisdn",
        ] {
            assert!(reads_like_address(name), "{name}");
        }
        for name in ["customer_id", "mailing_list", "hotel", "Cellist", "phone_model_id", "number"] {
            assert!(!reads_like_address(name), "{name}");
        }
    }

    #[test]
    fn b11_names_are_found_for_a_whole_header() {
        let header = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = better_names(&header(&["Record ID", "First Name", "E-mail 1 - Value", "city"])).unwrap();
        assert_eq!(names, ["record_id", "first_name", "email", "city"]);
        let names = better_names(&header(&["Kunden Nr", "Vor Name", "E-Mail", "Telefon"])).unwrap();
        assert_eq!(names, ["kunden_nr", "vor_name", "email", "phone"]);
        let names = better_names(&header(&["Kunden Nr", "Vor Name", "Email", "SMS"])).unwrap();
        assert_eq!(names, ["kunden_nr", "vor_name", "Email", "phone"]);
        let names = better_names(&header(&["Kunden Nr", "Vor Name", "Telefon", "mobile"])).unwrap();
        assert_eq!(names, ["kunden_nr", "vor_name", "Telefon", "mobile"], "one of the two is to be chosen");
        assert_eq!(better_names(&header(&["email", "First Name"])), None, "that one is told by itself");
        assert_eq!(better_names(&header(&["First Name", "First-Name", "email"])), None);
        assert_eq!(better_names(&header(&["Prénom", "First Name", "email"])), None);
    }
}
