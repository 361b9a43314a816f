//! Pieces of logs as drones send them: each compressed on its own, and whatever a drone makes of it.

use std::io::{self, Read};

/// Text of one piece; drones send 64 KiB. What compresses to nothing must not fill our memory.
const MOST: u64 = 1 << 20;
/// No piece of that size needs a larger window to be decompressed.
const WINDOW_LOG: u32 = 21;

/// The text of a piece, or what there is of it, and then a line that says so.
#[must_use]
pub fn decompressed(chunk: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match read(chunk, &mut text) {
        Ok(()) if text.len() as u64 == MOST => {
            text.extend_from_slice(b"\n[the rest of this chunk is cut]\n");
        }
        Ok(()) => {}
        Err(_) => text.extend_from_slice(b"\n[a damaged chunk of the log]\n"),
    }
    text
}

fn read(chunk: &[u8], text: &mut Vec<u8>) -> io::Result<()> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(chunk)?;
    decoder.window_log_max(WINDOW_LOG)?;
    decoder.take(MOST).read_to_end(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compresses_to_nothing_does_not_fill_the_memory() {
        let bomb = zstd::bulk::compress(&vec![b'a'; 64 << 20], 3).unwrap();
        let text = decompressed(&bomb);
        assert!(text.len() < 2 << 20, "{}", text.len());
        assert!(text.ends_with(b"cut]\n") || text.ends_with(b"log]\n"));
        assert_eq!(decompressed(b"no zstd"), b"\n[a damaged chunk of the log]\n");
        assert_eq!(decompressed(&zstd::bulk::compress(b"a line\n", 3).unwrap()), b"a line\n");
    }
}
