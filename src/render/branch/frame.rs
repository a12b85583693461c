//! Elements that a block opens and does not close, or closes and did not open: they hold what stands behind it.

/// Elements opened and closed since a block began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub opened: Vec<Opened>,
    closed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    pub name: String,
    /// Its style may hide what stands in it.
    pub is_loud: bool,
}

impl Frame {
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty()
    }

    pub fn is_like(&self, other: &Self) -> bool {
        let names = |frame: &Self| frame.opened.iter().map(|opened| opened.name.clone()).collect::<Vec<_>>();
        names(self) == names(other) && self.closed == other.closed
    }

    pub fn is_loud(&self) -> bool {
        self.opened.iter().any(|opened| opened.is_loud)
    }

    /// Of what only Outlook reads: its elements are no others'.
    pub fn for_outlook(self) -> Self {
        let named = |name: String| format!("outlook {name}");
        let opened = self.opened.into_iter().map(|opened| Opened { name: named(opened.name), ..opened });
        Self { opened: opened.collect(), closed: self.closed.into_iter().map(named).collect() }
    }

    pub fn open(&mut self, name: &str) {
        self.opened.push(Opened { name: name.to_owned(), is_loud: false });
    }

    pub fn append(&mut self, inner: Self) {
        inner.closed.iter().for_each(|name| self.close(name));
        self.opened.extend(inner.opened);
    }

    pub fn close(&mut self, name: &str) {
        match self.opened.iter().rposition(|opened| opened.name == name) {
            Some(at) => self.opened.truncate(at),
            None => self.closed.push(name.to_owned()),
        }
    }
}
