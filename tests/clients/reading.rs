//! Reads every message of a folder with mail-parser, for a comparison with what another parser reads: one JSON object a
//! line. `reading FOLDER`

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: reading FOLDER"))?;
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<std::io::Result<_>>()?;
    files.sort();
    let mut out = std::io::stdout().lock();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "eml")) {
        let octets = std::fs::read(file)?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let read = MessageParser::default().parse(&octets).map(|message| seen(&message));
        writeln!(out, "{}", json!({ "file": name, "read": read }))?;
    }
    Ok(())
}

fn seen(message: &Message<'_>) -> Value {
    let to = message.to().and_then(|to| to.first());
    let leaves = message.parts.iter().filter(|part| !part.is_multipart());
    json!({
        "to_name": to.and_then(|to| to.name()).unwrap_or_default(),
        "to_address": to.and_then(|to| to.address()).unwrap_or_default(),
        "subject": message.subject().unwrap_or_default(),
        "text": message.text_bodies().find_map(text).unwrap_or_default(),
        "html": message.html_bodies().find_map(text).unwrap_or_default(),
        "kinds": leaves.map(kind).collect::<Vec<_>>(),
        "attachments": message.attachments().map(|part| digest(part.contents())).collect::<Vec<_>>(),
        "names": message.attachments().map(|part| part.attachment_name()).collect::<Vec<_>>(),
        "headers": message.root_part().headers().iter().map(|header| header.name().to_ascii_lowercase()).collect::<Vec<_>>(),
    })
}

fn text<'m>(part: &'m mail_parser::MessagePart<'_>) -> Option<&'m str> {
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => Some(text),
        _ => None,
    }
}

fn kind(part: &mail_parser::MessagePart<'_>) -> String {
    let kind = part.content_type();
    kind.map_or_else(String::new, |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
}

fn digest(octets: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}
