//! What a vault command prints: a table for people, one JSON object a line for programs; values only masked.

use crate::cli::screen::unwritable;
use crate::cli::{CliError, Exit};
use crate::job::Token;
use crate::person::{Consent, Person};
use crate::personal::masked;
use crate::vault::import::Summary;
use crate::vault::{Change, Refusal, Stats, Stored, Verified};
use serde_json::json;
use std::io::{self, Write};

/// How results are shown.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    pub json: bool,
}

impl Show {
    pub fn stats(self, stats: &Stats, out: &mut dyn Write) -> Result<Exit, CliError> {
        let keys: Vec<_> = stats.vault_keys.iter().map(i64::to_string).collect();
        let rows = [
            ("people", stats.people.to_string()),
            ("e-mail tokens", stats.email_tokens.to_string()),
            ("mobile tokens", stats.mobile_tokens.to_string()),
            ("restricted", stats.restricted.to_string()),
            ("bytes on disk", stats.bytes_on_disk.to_string()),
            ("vault keys", keys.join(", ")),
            ("format", stats.format.to_string()),
            ("created", stats.created.clone()),
        ];
        self.print(&json!(stats), &rows, out)?;
        Ok(Exit::Ok)
    }

    /// Fails when something is wrong with the vault.
    pub fn verified(self, verified: &Verified, out: &mut dyn Write) -> Result<Exit, CliError> {
        let listed: Vec<_> = verified.damaged_people.iter().map(i64::to_string).collect();
        let rows = [
            ("people", verified.people.to_string()),
            ("damaged", verified.damaged.to_string()),
            ("damaged people", listed.join(", ")),
            ("stray index rows", verified.stray_index_rows.to_string()),
            ("numbering", if verified.numbering_broken { "broken" } else { "whole" }.into()),
            ("earlier records put back", verified.put_back.to_string()),
            ("people taken away", verified.taken_away.to_string()),
            ("altered parts of the token index", verified.altered_index_parts.to_string()),
            ("roll", if verified.roll_broken { "altered or put back" } else { "whole" }.into()),
        ];
        self.print(&json!(verified), &rows, out)?;
        if verified.is_whole() {
            return Ok(Exit::Ok);
        }
        let fix = if verified.has_all_of_its_roll() {
            "restore the last backup of its file"
        } else {
            "put back the vault that was there last, or, to mail people by the records that lie there, with the consent of \
             whatever day: tokenrelay vault release --all --yes"
        };
        Err(CliError::failed("the vault was altered outside of this program").fix(fix))
    }

    pub fn released(self, is_released: bool, out: &mut dyn Write) -> Result<(), CliError> {
        let rows = [("released", String::from(if is_released { "yes" } else { "no" }))];
        self.print(&json!({"released": is_released}), &rows, out)
    }

    pub fn person(self, person: &Person, out: &mut dyn Write) -> Result<Exit, CliError> {
        let tokens = [("email_token", person.email_token()), ("mobile_token", person.mobile_token())];
        let consents: Vec<_> = person
            .consents()
            .map(
                |(purpose, said)| {
                    if said == Consent::Refused { format!("-{purpose}") } else { purpose.into() }
                },
            )
            .collect();
        let kept = person.keep_until().unwrap_or("");
        let fields: Vec<_> = person.fields().map(|(name, value)| (name, masked(value))).collect();
        let value = json!({
            "email_token": tokens[0].1, "mobile_token": tokens[1].1,
            "fields": fields.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "consent": consents, "retention": person.keep_until(), "restricted": person.is_restricted(),
        });
        let mut rows: Vec<(&str, String)> =
            tokens.into_iter().filter_map(|(name, token)| Some((name, token?.to_owned()))).collect();
        rows.extend(fields);
        rows.push(("consent", consents.join(" ")));
        rows.push(("retention", kept.into()));
        rows.push(("restricted", if person.is_restricted() { "yes" } else { "no" }.into()));
        self.print(&value, &rows, out)?;
        Ok(Exit::Ok)
    }

    /// `line` is told where there is more than one.
    pub fn stored(self, line: Option<u64>, stored: &Stored, out: &mut dyn Write) -> Result<Exit, CliError> {
        self.write_stored(line, stored, out).map_err(unwritable)?;
        Ok(Exit::Ok)
    }

    pub fn write_stored(self, line: Option<u64>, stored: &Stored, out: &mut dyn Write) -> io::Result<()> {
        let text = |token: &Option<Token>| token.as_ref().map(Token::to_string);
        let (email, mobile) = (text(&stored.email_token), text(&stored.mobile_token));
        if self.json {
            let value = json!({
                "line": line, "email_token": email, "mobile_token": mobile, "result": word(stored.change),
            });
            return writeln!(out, "{value}");
        }
        let tokens: Vec<_> = [email, mobile].into_iter().flatten().collect();
        match line {
            Some(line) => writeln!(out, "{line}\t{}\t{}", word(stored.change), tokens.join("\t")),
            None => writeln!(out, "{}\t{}", word(stored.change), tokens.join("\t")),
        }
    }

    pub fn token(self, token: &Token, stored: &Stored, out: &mut dyn Write) -> Result<Exit, CliError> {
        if self.json {
            let value = json!({"token": token.as_str(), "created": stored.change == Change::Created});
            writeln!(out, "{value}").map_err(unwritable)?;
        } else {
            writeln!(out, "{token}").map_err(unwritable)?;
        }
        Ok(Exit::Ok)
    }

    /// `listed` are the first refusals; the summary says how many there were.
    pub fn summary(
        self,
        summary: &Summary,
        listed: &[(u64, Refusal)],
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        let errors: Vec<_> = listed
            .iter()
            .map(|(line, refusal)| {
                let (column, cause) = (&refusal.column, refusal.cause.to_string());
                json!({"line": line, "column": column, "cause": cause, "withdrew": refusal.withdrew})
            })
            .collect();
        let mut value = json!(summary);
        value["errors"] = json!(errors);
        let rows = [
            ("read", summary.read.to_string()),
            ("created", summary.created.to_string()),
            ("updated", summary.updated.to_string()),
            ("unchanged", summary.unchanged.to_string()),
            ("failed", summary.failed.to_string()),
            ("withdrew", if summary.withdrew > 0 { summary.withdrew.to_string() } else { String::new() }),
        ];
        self.print(&value, &rows, out)
    }

    fn print(
        self,
        value: &serde_json::Value,
        rows: &[(&str, String)],
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        if self.json {
            return writeln!(out, "{value}").map_err(unwritable);
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        rows.iter()
            .filter(|(_, value)| !value.is_empty())
            .try_for_each(|(name, value)| writeln!(out, "{name:width$}  {value}"))
            .map_err(unwritable)
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
    }
}
