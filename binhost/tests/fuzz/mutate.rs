//! Makes inputs out of a corpus. The same corpus gives the same inputs in the same order.

/// Lengths and offsets that are often handled wrongly.
const NUMBERS: [u32; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
/// What means something to one of the parsers.
const TEXTS: [&[u8]; 10] =
    [b"\n\n", b"\r\n", b":", b": ", b"\0", b"../", b"/", b"XPAKPACK", b"XPAKSTOP", b"\xff\xfe"];
/// The longest input.
const LONGEST: usize = 1 << 20;

/// Makes one input after the other.
pub(crate) struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(corpus: &'a [Vec<u8>]) -> Self {
        Self { corpus, state: 0 }
    }

    /// The next input.
    pub(crate) fn input(&mut self) -> Vec<u8> {
        let corpus = self.corpus;
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        // Behind a header with a wrong sum nothing is read: half of the inputs get right ones.
        if self.below(2) == 0 {
            repair_tar_sums(&mut input);
        }
        input
    }

    /// `SplitMix64`.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit.max(1) as u64).unwrap()
    }

    /// A part of `length` bytes, a short one more often than a long one.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = (length - start).min(1 << self.below(14));
        start..start + self.below(most + 1)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input.len());
        match self.below(8) {
            0 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = self.number().to_le_bytes()[0];
            }
            2 => input.truncate(part.start),
            3 => drop(input.drain(part)),
            4 => {
                let bytes = input[part.clone()].to_vec();
                input.splice(part.start..part.start, bytes);
            }
            5 => {
                let other = &self.corpus[self.below(self.corpus.len())];
                let bytes = other[self.part(other.len())].to_vec();
                input.splice(part, bytes);
            }
            6 => {
                let number = NUMBERS[self.below(NUMBERS.len())].to_be_bytes();
                let end = (part.start + 4).min(input.len());
                input.splice(part.start..end, number);
            }
            _ => {
                let text = TEXTS[self.below(TEXTS.len())];
                let text = text.repeat(1 << self.below(10));
                input.splice(part.start..part.start, text);
            }
        }
    }
}

fn repair_tar_sums(input: &mut [u8]) {
    for block in input.as_chunks_mut::<512>().0.iter_mut().filter(|block| block[257..].starts_with(b"ustar"))
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}
