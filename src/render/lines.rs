//! Lines and columns of a text, both from 1, columns in characters.

pub(super) type At = (usize, usize);

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(source: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(memchr::memchr_iter(b'\n', source.as_bytes()).map(|at| at + 1))
                .collect(),
        )
    }

    /// Line and column of a byte offset.
    pub(super) fn position(&self, source: &str, offset: usize) -> At {
        let line = self.0.partition_point(|start| *start <= offset);
        let start = self.0[line - 1];
        let column = source.get(start..offset).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// The byte offset of a line and column; the end of the text, where there is none.
    pub(super) fn offset(&self, source: &str, (line, column): At) -> usize {
        let Some(start) = self.0.get(line.saturating_sub(1)) else { return source.len() };
        let mut columns = source[*start..].char_indices();
        columns.nth(column.saturating_sub(1)).map_or(source.len(), |(at, _)| start + at)
    }
}
