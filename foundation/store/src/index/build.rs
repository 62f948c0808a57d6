//! Building the index of a segment.
//!
//! A word is looked up once per occurrence in a map of our own that knows the last page it was seen on; only the first
//! occurrence on a page goes to tantivy. Logs repeat their words, so tantivy sees few of them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;

use arrow::array::{Array, StringArray};
use bytes::Bytes;
use tantivy::directory::RamDirectory;
use tantivy::index::SegmentComponent;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{Directory, Index, IndexSettings, SingleSegmentIndexWriter, TantivyDocument};

use super::bloom::{BloomBuilder, word_hash};
use super::pack::{join, pack};
use super::search::guard;
use crate::StoreError;
use crate::body::{WordKind, each_word, lower_case, term_part};

/// Name of the section with the bloom filters; all others are files of tantivy.
pub(super) const BLOOM_SECTION: &str = "page-blooms";
/// Name of the one field.
pub(super) const BODY_FIELD: &str = "body";
const TOKENIZER: &str = "page_words";
/// Files of a tantivy segment that may be there.
const FILES: [SegmentComponent; 6] = [
    SegmentComponent::Terms,
    SegmentComponent::Postings,
    SegmentComponent::Positions,
    SegmentComponent::FieldNorms,
    SegmentComponent::FastFields,
    SegmentComponent::Store,
];
/// Arena of tantivy's term table.
const WRITER_BYTES: usize = 16 << 20;

/// An index that grows batch by batch.
pub(crate) struct IndexBuilder {
    part: Builder,
    /// Rows of the parts that are still to be ended, this one first.
    ends: VecDeque<u64>,
    ended: Vec<(u64, Bytes)>,
}

impl IndexBuilder {
    /// An index without rows that will have parts of so many; one part for none.
    ///
    /// # Errors
    /// Faults of tantivy, panics included.
    pub(crate) fn in_parts(rows_per_page: u32, parts: &[u64]) -> Result<IndexBuilder, StoreError> {
        let ends = parts.split_last().map_or(VecDeque::new(), |(_, ends)| ends.iter().copied().collect());
        guard(|| Ok(IndexBuilder { part: Builder::new(rows_per_page)?, ends, ended: Vec::new() }))
    }

    /// The next rows.
    ///
    /// # Errors
    /// As [`IndexBuilder::in_parts`].
    pub(crate) fn add(&mut self, bodies: &StringArray) -> Result<(), StoreError> {
        guard(|| {
            (0..bodies.len()).try_for_each(|row| {
                if self.ends.front().is_some_and(|rows| *rows <= self.part.rows) {
                    self.end_part()?;
                }
                self.part.add(if bodies.is_valid(row) { bodies.value(row) } else { "" })
            })
        })
    }

    /// Packs it.
    ///
    /// # Errors
    /// As [`IndexBuilder::in_parts`].
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        guard(|| {
            if self.ended.is_empty() {
                return self.part.finish();
            }
            let rows = self.part.rows;
            self.ended.push((rows, self.part.finish()?.into()));
            Ok(join(&self.ended))
        })
    }

    fn end_part(&mut self) -> Result<(), StoreError> {
        self.ends.pop_front();
        let next = Builder::new(self.part.rows_per_page)?;
        let part = std::mem::replace(&mut self.part, next);
        self.ended.push((part.rows, part.finish()?.into()));
        Ok(())
    }
}

struct Builder {
    rows_per_page: u32,
    rows: u64,
    rows_on_page: u32,
    page: u32,
    /// Last page that each word was seen on.
    seen: HashMap<Box<str>, u32, WordHasher>,
    /// Words of the page, separated by spaces.
    page_words: String,
    id_hashes: Vec<u64>,
    lower: String,
    blooms: BloomBuilder,
    field: Field,
    directory: RamDirectory,
    writer: SingleSegmentIndexWriter,
}

impl Builder {
    fn new(rows_per_page: u32) -> Result<Builder, StoreError> {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        let field = schema.add_text_field(BODY_FIELD, TextOptions::default().set_indexing_options(indexing));
        let settings = IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let tokenizers = TokenizerManager::default();
        tokenizers.register(TOKENIZER, PageWords);
        let directory = RamDirectory::create();
        let writer = Index::builder()
            .schema(schema.build())
            .settings(settings)
            .tokenizers(tokenizers)
            .single_segment_index_writer(Box::new(directory.clone()) as Box<dyn Directory>, WRITER_BYTES)?;
        Ok(Builder {
            rows_per_page,
            rows: 0,
            rows_on_page: 0,
            page: 0,
            seen: HashMap::with_hasher(WordHasher::new()),
            page_words: String::new(),
            id_hashes: Vec::new(),
            lower: String::new(),
            blooms: BloomBuilder::default(),
            field,
            directory,
            writer,
        })
    }

    fn add(&mut self, body: &str) -> Result<(), StoreError> {
        let Builder { seen, page_words, id_hashes, lower, page, .. } = self;
        let mut add_term = |term: &str| {
            match seen.get_mut(term) {
                Some(last) if *last == *page => return,
                Some(last) => *last = *page,
                None => _ = seen.insert(term.into(), *page),
            }
            page_words.push_str(term);
            page_words.push(' ');
        };
        each_word(lower_case(body, lower), |word, kind| match kind {
            WordKind::Term => add_term(word),
            WordKind::IdLike => {
                id_hashes.push(word_hash(word));
                // A prefix that begins with another letter than a hex digit is looked up among the terms alone.
                if word.len() > crate::body::MAX_TERM_BYTES {
                    add_term(term_part(word));
                }
            }
        });
        self.rows += 1;
        self.rows_on_page += 1;
        if self.rows_on_page == self.rows_per_page {
            self.end_page()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), StoreError> {
        let mut document = TantivyDocument::new();
        document.add_text(self.field, &self.page_words);
        self.writer.add_document(document)?;
        self.blooms.end_page(&mut self.id_hashes);
        self.page_words.clear();
        self.rows_on_page = 0;
        self.page += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        if self.rows_on_page > 0 {
            self.end_page()?;
        }
        let index = self.writer.finalize()?;
        let mut sections = vec![(BLOOM_SECTION.to_owned(), self.blooms.finish())];
        let mut names = vec![PathBuf::from("meta.json")];
        for segment in index.searchable_segment_metas()? {
            names.extend(FILES.map(|file| segment.relative_path(file)));
        }
        for name in names {
            // Which files there are is the library's business.
            if let Ok(content) = self.directory.atomic_read(&name) {
                sections.push((name.to_string_lossy().into_owned(), content));
            }
        }
        Ok(pack(self.rows, self.rows_per_page, &sections))
    }
}

/// Splits at spaces; the words come split and lower-cased already.
#[derive(Clone)]
struct PageWords;

struct PageWordStream<'t> {
    words: std::str::Split<'t, char>,
    token: Token,
}

impl Tokenizer for PageWords {
    type TokenStream<'t> = PageWordStream<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> PageWordStream<'t> {
        PageWordStream { words: text.split(' '), token: Token::default() }
    }
}

impl TokenStream for PageWordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.by_ref().find(|word| !word.is_empty()) else { return false };
        self.token.text.clear();
        self.token.text.push_str(word);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// xxh3 with a seed of its own per index: words are hostile, and must not be able to collide on purpose.
#[derive(Clone)]
pub(super) struct WordHasher(u64);

impl WordHasher {
    pub(super) fn new() -> WordHasher {
        WordHasher(std::hash::RandomState::new().hash_one(0))
    }
}

impl BuildHasher for WordHasher {
    type Hasher = WordHash;

    fn build_hasher(&self) -> WordHash {
        WordHash(self.0)
    }
}

pub(super) struct WordHash(u64);

impl Hasher for WordHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    /// The end mark of a text, the same for all.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
