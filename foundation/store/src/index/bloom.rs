//! One bloom filter per page for words used like ids.
//!
//! Layout: `pages u32`, then for each page `words u32`, then all bits as 64 bit words, everything little-endian.
//! 10 bits a word and 6 probes let about 1 % of absent words through.

use super::pages::PageSet;

const BITS_PER_WORD: usize = 10;
const PROBES: u64 = 6;

/// The hash that places a word. Part of the format.
pub(super) fn word_hash(word: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(word.as_bytes())
}

/// Bit positions of a hash in a filter of `bits`.
fn probes(hash: u64, bits: u64) -> impl Iterator<Item = u64> {
    let step = (hash >> 32) | 1;
    (0..PROBES).map(move |i| {
        let mixed = (hash as u32).wrapping_add((i * step) as u32);
        (u64::from(mixed) * bits) >> 32
    })
}

/// Builds the filters, page after page.
#[derive(Default)]
pub(super) struct BloomBuilder {
    sizes: Vec<u32>,
    bits: Vec<u64>,
}

impl BloomBuilder {
    /// Ends a page with these words; empties `hashes`.
    pub(super) fn end_page(&mut self, hashes: &mut Vec<u64>) {
        hashes.sort_unstable();
        hashes.dedup();
        let words = (hashes.len() * BITS_PER_WORD).div_ceil(64);
        let start = self.bits.len();
        self.bits.resize(start + words, 0);
        for &hash in hashes.iter() {
            for bit in probes(hash, words as u64 * 64) {
                self.bits[start + (bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        self.sizes.push(words as u32);
        hashes.clear();
    }

    /// The section.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut section = Vec::with_capacity(4 + 4 * self.sizes.len() + 8 * self.bits.len());
        section.extend((self.sizes.len() as u32).to_le_bytes());
        section.extend(self.sizes.iter().flat_map(|size| size.to_le_bytes()));
        section.extend(self.bits.iter().flat_map(|word| word.to_le_bytes()));
        section
    }
}

/// The filters of all pages.
#[derive(PartialEq)]
pub(super) struct PageBlooms {
    /// Where the words of each page begin, and the end of the last.
    starts: Vec<usize>,
    bits: Vec<u64>,
}

impl PageBlooms {
    /// Reads the section.
    ///
    /// # Errors
    /// When its lengths contradict each other.
    pub(super) fn decode(section: &[u8], pages: u32) -> Result<PageBlooms, String> {
        let u32_at = |at: usize| section.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        if u32_at(0) != Some(pages) {
            return Err(format!("bloom filters of {:?} pages, not {pages}", u32_at(0)));
        }
        let mut starts = vec![0];
        let mut end = 0_usize;
        for page in 0..pages as usize {
            let words = u32_at(4 + 4 * page).ok_or("bloom filter sizes are cut")?;
            end += words as usize;
            starts.push(end);
        }
        let bits = section.get(4 + 4 * pages as usize..).unwrap_or_default();
        if bits.len() != end.saturating_mul(8) {
            return Err(format!("bloom filters of {} bytes, not {}", bits.len(), end.saturating_mul(8)));
        }
        let (words, _) = bits.as_chunks::<8>();
        Ok(PageBlooms { starts, bits: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }

    /// Pages that may hold `word`.
    pub(super) fn pages_with(&self, word: &str) -> PageSet {
        let hash = word_hash(word);
        let mut pages = PageSet::none(self.starts.len() as u32 - 1);
        for (page, range) in self.starts.windows(2).enumerate() {
            let filter = &self.bits[range[0]..range[1]];
            let holds = |bit: u64| filter[(bit / 64) as usize] & (1 << (bit % 64)) != 0;
            if !filter.is_empty() && probes(hash, filter.len() as u64 * 64).all(holds) {
                pages.insert(page as u32);
            }
        }
        pages
    }

    pub(super) fn memory_bytes(&self) -> usize {
        8 * (self.starts.len() + self.bits.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_finds_what_it_holds_and_little_else() {
        let mut builder = BloomBuilder::default();
        let word =
            |page: u32, i: u32| format!("{:x}", u64::from(page * 10_000 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for page in 0..4 {
            let mut hashes: Vec<u64> = (0..1000).map(|i| word_hash(&word(page, i))).collect();
            builder.end_page(&mut hashes);
        }
        builder.end_page(&mut Vec::new());
        let section = builder.finish();
        let blooms = PageBlooms::decode(&section, 5).unwrap();
        let mut false_positives = 0;
        for page in 0..4 {
            for i in 0..1000 {
                let found = blooms.pages_with(&word(page, i));
                assert!(found.contains(page) && !found.contains(4));
                false_positives += found.count() - 1;
            }
        }
        assert!(false_positives < 4 * 1000 * 3 * 2 / 100, "{false_positives}");
        for cut in 0..64 {
            assert!(PageBlooms::decode(&section[..cut], 5).is_err());
        }
    }
}
