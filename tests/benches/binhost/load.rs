//! wrk as the clients: as many requests as the server takes, from a few connections at once.

use std::fs;
use std::process::Command;

/// How long a turn lasts.
const SECONDS: &str = "2s";

/// What one turn of load came to.
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p99_ms: f64,
    /// Of the server, for one request.
    pub(crate) processor_us: f64,
}

/// Loads `url`, which the process `server` and its children serve, for a while; every answer must be a good one.
pub(crate) fn load(url: &str, headers: &[String], connections: u32, server: u32) -> Load {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", &connections.to_string(), "--latency"]);
    wrk.args(["--duration", SECONDS, "--timeout", "60s"]);
    for header in headers {
        wrk.args(["--header", header]);
    }
    let before = processor_seconds(server);
    let output = wrk.arg(url).output().unwrap();
    let taken = processor_seconds(server) - before;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{url}: {said}");
    let after = |label: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("{label} is not in: {said}")).trim().to_owned()
    };
    let requests = said.lines().find_map(|line| line.trim().split_once(" requests in ")).unwrap().0;
    Load {
        per_second: after("Requests/sec:").parse().unwrap(),
        p99_ms: milliseconds(&after("99%")),
        // A second of the largest file may not see one to its end.
        processor_us: taken * 1e6 / requests.parse::<f64>().unwrap().max(1.0),
    }
}

fn milliseconds(text: &str) -> f64 {
    let (unit, factor) = [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)]
        .into_iter()
        .find(|(unit, _)| text.ends_with(unit))
        .unwrap();
    text.trim_end_matches(unit).parse::<f64>().unwrap() * factor
}

/// What a process and its children have taken so far. The unit is that of `/proc` in all of Linux's ABIs.
fn processor_seconds(id: u32) -> f64 {
    const USER_HZ: f64 = 100.0;
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let all = children.split_whitespace().map(str::to_owned).chain([id.to_string()]);
    let ticks = all.map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // The command's name, in parentheses, may hold spaces. utime and stime are fields 14 and 15 of proc(5).
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum::<f64>()
    });
    ticks.sum::<f64>() / USER_HZ
}
