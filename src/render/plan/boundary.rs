//! Boundaries of multiparts (RFC 2046 §5.1.1).

/// A family of boundaries with 128 random bits. They hold `=_`, which neither quoted-printable nor base64 can
/// produce.
#[derive(Debug)]
pub struct Boundary(String);

impl Boundary {
    pub fn random() -> Self {
        let mut bits = [0u8; 16];
        aws_lc_rs::rand::fill(&mut bits).expect("the system's random source works");
        Self(crate::base32_lower(&bits))
    }

    /// The boundary of one multipart; none is the beginning of another.
    pub fn of(&self, kind: Kind) -> String {
        let letter = match kind {
            Kind::Mixed => 'm',
            Kind::Alternative => 'a',
            Kind::Related => 'r',
        };
        format!("=_{letter}{}", self.0)
    }
}

/// The multiparts a plan is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mixed,
    Alternative,
    Related,
}

impl Kind {
    pub fn subtype(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Alternative => "alternative",
            Self::Related => "related",
        }
    }
}
