//! Words of log bodies: one rule for writers, readers and `match(body, ..)`.
//!
//! A word is a longest run of letters and digits (Unicode), lower-cased. Nothing else is indexed or matched.

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyQuery {
    /// Every body.
    Everything,
    /// This word (lower-cased).
    Word(String),
    /// A word that begins so.
    Prefix(String),
    /// These words, one right after the other.
    Phrase(Vec<String>),
    /// All of them.
    All(Vec<BodyQuery>),
    /// At least one of them.
    Any(Vec<BodyQuery>),
    /// Not that.
    Not(Box<BodyQuery>),
}

impl BodyQuery {
    /// All words of `text`, in any order. Text without a word matches every body.
    pub fn words(text: &str) -> BodyQuery {
        let _ = text;
        todo!()
    }

    /// The words of `text` as a phrase.
    pub fn phrase(text: &str) -> BodyQuery {
        let _ = text;
        todo!()
    }

    /// Words that begin with `text`.
    pub fn prefix(text: &str) -> BodyQuery {
        let _ = text;
        todo!()
    }

    /// Whether `body` matches: the definition, which the index only speeds up.
    pub fn matches(&self, body: &str) -> bool {
        let _ = body;
        todo!()
    }
}
