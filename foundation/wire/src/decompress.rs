//! Capped decompression. The only place where raw decompressors are allowed.
