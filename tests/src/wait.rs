//! Waiting for a condition, with a bound: never for luck.

use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `condition` gives something; fails the test after `seconds`.
pub async fn until<T>(seconds: u64, what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    let value = within(seconds, condition).await;
    value.unwrap_or_else(|| panic!("after {seconds} s still waiting: {what}"))
}

/// Looks for so many seconds until `condition` gives something.
pub async fn within<T>(seconds: u64, mut condition: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let value = condition().await;
        if value.is_some() || Instant::now() >= deadline {
            return value;
        }
        tokio::time::sleep(LOOK).await;
    }
}
