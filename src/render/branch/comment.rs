//! Comments: Outlook reads those that begin with `[if`, and others read what stands between two of them.

/// A comment as far as it has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Comment {
    text: Vec<u8>,
    /// It began in a block that depends on a person.
    is_whole: bool,
}

/// What is read in it, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    /// By Outlook.
    Markup(String),
    /// `<!--[if !mso]><!-->`: what follows is for all but Outlook.
    Opens,
    /// `<!--<![endif]-->`
    Closes,
    /// By some client or another.
    Unclear,
}

impl Comment {
    pub fn begin(&mut self, depends: bool) {
        self.text.clear();
        self.is_whole = depends;
    }

    pub fn byte(&mut self, byte: u8, is_last: bool) -> Read {
        self.text.push(byte);
        if !self.is_whole {
            return if matches!(byte, b'<' | b'[') { Read::Unclear } else { Read::Nothing };
        }
        if is_last { self.read() } else { Read::Nothing }
    }

    fn read(&self) -> Read {
        let text = String::from_utf8_lossy(&self.text);
        let text = text.trim_start_matches('-').trim_end_matches(['>', '-']).trim();
        let lower = text.to_ascii_lowercase();
        if lower == "<![endif]" {
            return Read::Closes;
        }
        let Some(start) = lower.strip_prefix("[if").and_then(|rest| rest.find("]>")) else {
            let is_odd = lower.contains("[if") || lower.contains("endif");
            return if is_odd { Read::Unclear } else { Read::Nothing };
        };
        let start = start + "[if]>".len();
        if matches!(lower[start..].trim(), "" | "<!") {
            return Read::Opens;
        }
        match lower[start..].strip_suffix("<![endif]") {
            Some(inner) => Read::Markup(text[start..start + inner.len()].to_owned()),
            None => Read::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Read {
        let mut comment = Comment::default();
        comment.begin(true);
        text.bytes().for_each(|byte| assert_eq!(comment.byte(byte, false), Read::Nothing));
        comment.byte(b'>', true)
    }

    #[test]
    fn p2_what_outlook_reads_of_a_comment_is_known() {
        assert_eq!(read("-- a --"), Read::Nothing);
        assert_eq!(read("--<b>old</b>--"), Read::Nothing);
        assert_eq!(read("--[if mso]><P A='1'><![endif]--"), Read::Markup("<P A='1'>".into()));
        assert_eq!(read("--[if !mso]><!--"), Read::Opens);
        assert_eq!(read("--<![endif]--"), Read::Closes);
        assert_eq!(read("--[if mso]><p>--"), Read::Unclear);
        assert_eq!(read("-- x [if mso]><p><![endif]--"), Read::Unclear);
        let mut part = Comment::default();
        part.begin(false);
        assert_eq!((part.byte(b'x', false), part.byte(b'<', false)), (Read::Nothing, Read::Unclear));
    }
}
