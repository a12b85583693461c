//! What other products call the things that a person has, and systems their own.

use super::begins_name;

/// Words that may be anybody's in small letters, and in capitals between signs are to be filled in.
const IN_CAPITALS: [&str; 12] = [
    "NAME",
    "FORENAME",
    "SURNAME",
    "EMAIL",
    "E-MAIL",
    "SALUTATION",
    "COMPANY",
    "CITY",
    "COUNTRY",
    "PHONE",
    "ADDRESS",
    "UNSUBSCRIBE",
];

/// Names of what a person has, as every product calls it: nobody writes them between signs but to have them filled in.
pub(super) fn is_field_of_a_person(name: &str) -> bool {
    const KNOWN: [&str; 20] = [
        "vorname",
        "nachname",
        "fname",
        "lname",
        "firstname",
        "lastname",
        "middlename",
        "fullname",
        "username",
        "yourname",
        "clientname",
        "customername",
        "recipientname",
        "subscribername",
        "contactname",
        "companyname",
        "sendername",
        "emailaddress",
        "unsubscribelink",
        "unsubscribeurl",
    ];
    let is_part = |byte: u8| byte.is_ascii_alphabetic() || b"_- .".contains(&byte);
    let begins = begins_name(name) && name.bytes().all(is_part) && name.len() < 40;
    let is_known = || {
        let joined: String = name.chars().filter(char::is_ascii_alphabetic).collect();
        KNOWN.contains(&joined.to_ascii_lowercase().as_str())
    };
    begins && (IN_CAPITALS.contains(&name) || is_known())
}

/// `%PATH%`, `${HOME}`: what systems call their own, as people write about it.
pub(super) fn is_of_systems(name: &str) -> bool {
    const VARIABLES: [&str; 14] = [
        "PATH",
        "HOME",
        "TEMP",
        "TMP",
        "TMPDIR",
        "APPDATA",
        "LOCALAPPDATA",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "USERPROFILE",
        "SYSTEMROOT",
        "WINDIR",
        "SHELL",
        "PWD",
    ];
    VARIABLES
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known) && !name.bytes().all(|byte| byte.is_ascii_lowercase()))
}
