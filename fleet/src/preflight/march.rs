//! What a `-march` asks of a processor, in the words of `/proc/cpuinfo`.
//!
//! The levels are those of the x86-64 psABI; the processors are GCC's (`gcc/common/config/i386/i386-common.cc`), as far as an
//! instruction of theirs is one that compilers emit by themselves.

use std::collections::BTreeSet;

/// What `march` asks for and `flags` do not have; `None` where it is a name that is not in the table.
#[must_use]
pub fn missing(march: &str, flags: &BTreeSet<String>) -> Option<Vec<&'static str>> {
    let wanted = wanted(march)?;
    Some(wanted.iter().flat_map(|words| words.split(' ')).filter(|flag| !flags.contains(*flag)).collect())
}

const V1: &str = "cmov cx8 fpu fxsr mmx syscall sse sse2";
const V2: &str = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3";
const V3: &str = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave";
const V4: &str = "avx512f avx512bw avx512cd avx512dq avx512vl";
const CRYPTO: &str = "aes pclmulqdq";

fn wanted(march: &str) -> Option<&'static [&'static str]> {
    Some(match march {
        "x86-64" | "k8" | "nocona" => &[V1],
        "x86-64-v2" | "nehalem" => &[V1, V2],
        "westmere" => &[V1, V2, CRYPTO],
        "sandybridge" => &[V1, V2, CRYPTO, "avx xsave"],
        "ivybridge" => &[V1, V2, CRYPTO, "avx xsave f16c fsgsbase rdrand"],
        "x86-64-v3" => &[V1, V2, V3],
        "haswell" => &[V1, V2, V3, CRYPTO, "fsgsbase rdrand"],
        "broadwell" => &[V1, V2, V3, CRYPTO, "fsgsbase rdrand adx rdseed"],
        "skylake" => &[V1, V2, V3, CRYPTO, "fsgsbase rdrand adx rdseed clflushopt xsavec xsaves"],
        "alderlake" | "raptorlake" => &[V1, V2, V3, CRYPTO, "adx rdseed sha_ni gfni vaes vpclmulqdq clwb"],
        "x86-64-v4" => &[V1, V2, V3, V4],
        "skylake-avx512" | "cascadelake" => &[V1, V2, V3, V4, CRYPTO, "adx rdseed clflushopt clwb"],
        "icelake-client" | "icelake-server" | "rocketlake" | "tigerlake" | "sapphirerapids" => {
            &[V1, V2, V3, V4, CRYPTO, "adx rdseed sha_ni gfni vaes vpclmulqdq avx512vbmi avx512_vbmi2"]
        }
        "znver1" => &[V1, V2, V3, CRYPTO, "adx rdseed sha_ni sse4a clflushopt"],
        "znver2" => &[V1, V2, V3, CRYPTO, "adx rdseed sha_ni sse4a clflushopt clwb rdpid"],
        "znver3" => &[V1, V2, V3, CRYPTO, "adx rdseed sha_ni sse4a clflushopt clwb rdpid vaes vpclmulqdq"],
        "znver4" | "znver5" => {
            &[V1, V2, V3, V4, CRYPTO, "adx rdseed sha_ni sse4a clwb rdpid gfni vaes vpclmulqdq avx512_bf16"]
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(levels: &[&str]) -> BTreeSet<String> {
        levels.join(" ").split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn levels_hold_the_lower_ones() {
        let v3 = flags(&[V1, V2, V3]);
        assert_eq!(missing("x86-64-v2", &v3), Some(vec![]));
        assert_eq!(missing("x86-64-v3", &v3), Some(vec![]));
        assert_eq!(missing("x86-64-v4", &v3).unwrap().join(" "), V4);
        assert_eq!(missing("haswell", &v3).unwrap(), ["aes", "pclmulqdq", "fsgsbase", "rdrand"]);
        assert_eq!(missing("native", &v3), None);
    }
}
