//! Waiting for a condition, with a bound: never for luck.

use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `condition` gives something; fails the test after `seconds`.
pub async fn until<T>(seconds: u64, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "after {seconds} s still waiting: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
