//! Files beside a template: which of them its HTML names, and what they are.

use super::program::Program;
use std::collections::BTreeSet;

/// The names behind `cid:` in a program's fixed text.
pub(super) fn cids(program: &Program) -> BTreeSet<String> {
    let name = |rest: &str| {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || "._-@".contains(c));
        rest[..rest.find(is_end).unwrap_or(rest.len())].to_owned()
    };
    let fixed = program.fixed().iter();
    fixed.flat_map(|text| text.split("cid:").skip(1).map(name)).filter(|name| !name.is_empty()).collect()
}

/// By its name's ending.
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "ics" => "text/calendar",
        "vcf" => "text/vcard",
        "csv" => "text/csv",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}
