//! Opening and searching one part of the index of a segment: a whole one, unless the segment is a merger.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tantivy::directory::RamDirectory;
use tantivy::postings::Postings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Directory, DocSet, Index, InvertedIndexReader, SegmentReader, TERMINATED, Term};

use super::bloom::PageBlooms;
use super::build::{BLOOM_SECTION, BODY_FIELD};
use super::pack::unpack;
use super::pages::PageSet;
use crate::body::{BodyQuery, MAX_TERM_BYTES, WordKind, word_kind};
use crate::{RowChoice, StoreError};

/// Calls the index library so that a panic in it is an error of this one call.
pub(super) fn guard<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(StoreError::Background(format!("the text index panicked: {}", text.unwrap_or("no message"))))
    })
}

/// An open part.
pub(super) struct PartIndex {
    rows: u64,
    rows_per_page: u32,
    pages: u32,
    blooms: PageBlooms,
    field: Field,
    terms: Arc<InvertedIndexReader>,
    bytes: usize,
}

impl PartIndex {
    /// Opens and checks a packed index that belongs to `rows` in pages of `rows_per_page`.
    ///
    /// # Errors
    /// What is damaged or does not fit.
    pub(super) fn open(file: &Bytes, rows: u64, rows_per_page: u32) -> Result<PartIndex, String> {
        let (header, sections) = unpack(file)?;
        if (header.rows, header.rows_per_page) != (rows, rows_per_page) {
            return Err(format!(
                "made for {} rows in pages of {}, not {rows} in pages of {rows_per_page}",
                header.rows, header.rows_per_page
            ));
        }
        let pages = u32::try_from(rows.div_ceil(u64::from(rows_per_page.max(1)))).map_err(|error| error.to_string())?;
        let blooms = sections.iter().find(|(name, _)| name == BLOOM_SECTION).ok_or("no bloom filters")?;
        let blooms = PageBlooms::decode(&blooms.1, pages)?;
        let opened = guard(|| {
            let directory = RamDirectory::create();
            for (name, content) in sections.iter().filter(|(name, _)| name != BLOOM_SECTION) {
                directory.atomic_write(Path::new(name), content).map_err(|e| StoreError::io(Path::new(name), e))?;
            }
            let index = Index::open(directory)?;
            let field = index.schema().get_field(BODY_FIELD)?;
            let segments = index.searchable_segments()?;
            let readers = segments.iter().map(SegmentReader::open).collect::<Result<Vec<_>, _>>()?;
            Ok((field, readers))
        });
        let (field, readers) = opened.map_err(|error| error.to_string())?;
        let [reader] = readers.as_slice() else { return Err(format!("{} segments, not 1", readers.len())) };
        if reader.max_doc() != pages {
            return Err(format!("{} documents for {pages} pages", reader.max_doc()));
        }
        let terms = guard(|| Ok(reader.inverted_index(field)?)).map_err(|error| error.to_string())?;
        let bytes = file.len() + blooms.memory_bytes();
        Ok(PartIndex { rows, rows_per_page, pages, blooms, field, terms, bytes })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Rows of the pages that may match.
    ///
    /// # Errors
    /// When the index contradicts itself.
    pub(super) fn search(&self, query: &BodyQuery) -> Result<RowChoice, StoreError> {
        let pages = guard(|| self.pages_for(query))?;
        Ok(pages.map_or(RowChoice::All, |pages| pages.rows(self.rows_per_page, self.rows)))
    }

    /// The first thing that `other` says otherwise about the same rows.
    ///
    /// # Errors
    /// When an index contradicts itself.
    pub(super) fn disagreement(&self, other: &PartIndex) -> Result<Option<String>, StoreError> {
        if self.blooms != other.blooms {
            return Ok(Some("the bloom filters of pages are not those of the rows".to_owned()));
        }
        guard(|| {
            let io = |error| StoreError::io(Path::new("terms"), error);
            let mut ours = self.terms.terms().stream().map_err(io)?;
            let mut theirs = other.terms.terms().stream().map_err(io)?;
            loop {
                let more = (ours.advance(), theirs.advance());
                if more == (false, false) {
                    return Ok(None);
                }
                if more != (true, true) || ours.key() != theirs.key() {
                    let word = if more.0 { ours.key() } else { theirs.key() };
                    let word = String::from_utf8_lossy(word).into_owned();
                    return Ok(Some(format!("its words are not those of the rows, from {word:?} on")));
                }
                let (mut wanted, mut there) = (PageSet::none(self.pages), PageSet::none(self.pages));
                self.collect(ours.value(), &mut wanted)?;
                other.collect(theirs.value(), &mut there)?;
                if wanted != there {
                    let word = String::from_utf8_lossy(ours.key()).into_owned();
                    return Ok(Some(format!("{word:?} is on other pages of rows")));
                }
            }
        })
    }

    /// `None`: the index cannot tell.
    fn pages_for(&self, query: &BodyQuery) -> Result<Option<PageSet>, StoreError> {
        Ok(match query {
            // A page without a word still holds rows, one that has it may hold rows without.
            BodyQuery::Everything | BodyQuery::Not(_) => None,
            BodyQuery::Word(word) => Some(self.pages_with_word(word)?),
            BodyQuery::Prefix(prefix) => self.pages_with_prefix(prefix)?,
            BodyQuery::Phrase(words) => {
                let mut all = None;
                for word in words {
                    all = both(all, Some(self.pages_with_word(word)?));
                }
                all
            }
            BodyQuery::All(parts) => {
                let mut all = None;
                for part in parts {
                    all = both(all, self.pages_for(part)?);
                }
                all
            }
            BodyQuery::Any(parts) => {
                let mut any = PageSet::none(self.pages);
                for part in parts {
                    match self.pages_for(part)? {
                        Some(pages) => any = any.or(&pages),
                        None => return Ok(None),
                    }
                }
                Some(any)
            }
        })
    }

    fn pages_with_word(&self, word: &str) -> Result<PageSet, StoreError> {
        if word_kind(word) == WordKind::IdLike {
            return Ok(self.blooms.pages_with(word));
        }
        let mut pages = PageSet::none(self.pages);
        let term = Term::from_field_text(self.field, word);
        let found = self.terms.get_term_info(&term).map_err(|error| StoreError::io(Path::new("terms"), error))?;
        if let Some(info) = found {
            self.collect(&info, &mut pages)?;
        }
        Ok(pages)
    }

    fn collect(&self, info: &tantivy::postings::TermInfo, pages: &mut PageSet) -> Result<(), StoreError> {
        let io = |error| StoreError::io(Path::new("postings"), error);
        let mut postings = self.terms.read_postings_from_terminfo(info, IndexRecordOption::Basic).map_err(io)?;
        let _ = postings.term_freq();
        let mut page = postings.doc();
        while page != TERMINATED {
            if page >= self.pages {
                let reason = format!("document {page} of {}", self.pages);
                return Err(StoreError::DamagedIndex { path: String::new(), reason });
            }
            pages.insert(page);
            page = postings.advance();
        }
        Ok(())
    }

    /// Terms only: `None` when words used like ids could begin so, too.
    fn pages_with_prefix(&self, prefix: &str) -> Result<Option<PageSet>, StoreError> {
        let could_be_id = prefix.bytes().all(|byte| byte.is_ascii_hexdigit())
            || prefix.starts_with(|c: char| c.is_ascii_digit())
            || prefix.len() > MAX_TERM_BYTES;
        if could_be_id {
            return Ok(None);
        }
        let io = |error| StoreError::io(Path::new("terms"), error);
        let mut pages = PageSet::none(self.pages);
        let mut stream = self.terms.terms().range().ge(prefix.as_bytes()).into_stream().map_err(io)?;
        while stream.advance() {
            if !stream.key().starts_with(prefix.as_bytes()) {
                break;
            }
            self.collect(stream.value(), &mut pages)?;
        }
        Ok(Some(pages))
    }
}

fn both(left: Option<PageSet>, right: Option<PageSet>) -> Option<PageSet> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.and(&right)),
        (left, right) => left.or(right),
    }
}
