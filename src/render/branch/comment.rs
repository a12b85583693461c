//! Comments: Outlook reads those that begin with `[if`, and others read what stands between two of them.

/// A comment as far as it has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Comment {
    text: Vec<u8>,
    /// It began in a block that depends on a person.
    is_whole: bool,
    /// It depends on a person, and not as a whole.
    is_partly: bool,
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
        (self.is_whole, self.is_partly) = (depends, false);
    }

    /// Takes a byte that stands in a block that depends on a person, or does not.
    pub fn byte(&mut self, byte: u8, is_last: bool, depends: bool) -> Read {
        self.text.push(byte);
        self.is_partly |= depends != self.is_whole;
        match (is_last, self.is_whole) {
            (true, _) if self.is_partly => self.read_partly(),
            (true, true) => self.read(),
            (false, false) if depends && matches!(byte, b'<' | b'[') => Read::Unclear,
            _ => Read::Nothing,
        }
    }

    /// What stands here or there, from person to person if the block depends on one.
    pub fn join(&mut self, other: &Self, depends: bool) {
        self.is_partly |= other.is_partly || depends && self.text != other.text;
        if self.text != other.text {
            self.text.extend_from_slice(&other.text);
        }
    }

    fn read_partly(&self) -> Read {
        let is_read = self.text.iter().any(|byte| matches!(byte, b'<' | b'['));
        if is_read { Read::Unclear } else { Read::Nothing }
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
        text.bytes().for_each(|byte| assert_eq!(comment.byte(byte, false, true), Read::Nothing));
        comment.byte(b'>', true, true)
    }

    fn joined(depends: bool, [common, one, other, behind]: [&str; 4]) -> Read {
        let mut comment = Comment::default();
        comment.begin(false);
        common.bytes().for_each(|byte| assert_eq!(comment.byte(byte, false, false), Read::Nothing));
        let mut beside = comment.clone();
        one.bytes().for_each(|byte| assert_eq!(comment.byte(byte, false, depends), Read::Nothing));
        other.bytes().for_each(|byte| assert_eq!(beside.byte(byte, false, depends), Read::Nothing));
        comment.join(&beside, depends);
        behind.bytes().for_each(|byte| assert_eq!(comment.byte(byte, false, false), Read::Nothing));
        comment.byte(b'>', true, false)
    }

    #[test]
    fn p2_what_outlook_reads_depends_on_nobody_in_part() {
        let partly = |pieces| joined(true, pieces);
        assert_eq!(partly(["-- a ", "gold", "silver", " --"]), Read::Nothing);
        assert_eq!(partly(["--[if ", "mso", "!mso", "]><p><![endif]--"]), Read::Unclear);
        assert_eq!(partly(["--[if mso]>a", "b", "", "c<![endif]--"]), Read::Unclear);
        // What the job decides is the same for everybody.
        assert_eq!(
            joined(false, ["--[if mso]><table width=\"", "600", "400", "\"><![endif]--"]),
            Read::Nothing
        );
        let mut begun = Comment::default();
        begun.begin(true);
        "--[if mso]>".bytes().for_each(|byte| assert_eq!(begun.byte(byte, false, true), Read::Nothing));
        "<p><![endif]--".bytes().for_each(|byte| assert_eq!(begun.byte(byte, false, false), Read::Nothing));
        assert_eq!(begun.byte(b'>', true, false), Read::Unclear);
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
        let read = (part.byte(b'x', false, true), part.byte(b'<', false, true));
        assert_eq!(read, (Read::Nothing, Read::Unclear));
    }
}
