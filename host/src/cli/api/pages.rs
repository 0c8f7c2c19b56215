//! Long answers, which come in pages.

use serde::Deserialize;
use serde_json::Value;

use super::{Ask, Client, Failure};

/// The most that a page has.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// All that there is of this, in its order, or the first so many.
///
/// # Errors
/// When a page is not told. Nothing is shown then as if it were all.
pub(in crate::cli) async fn items(
    client: &Client,
    ask: Ask,
    limit: Option<usize>,
) -> Result<Vec<Value>, Failure> {
    let limit = limit.unwrap_or(usize::MAX);
    let (mut all, mut after) = (Vec::new(), None);
    while all.len() < limit {
        let wanted = PAGE.min(limit - all.len());
        let page = ask.clone().with("limit", Some(wanted));
        let page = client.send(page.with("after", after.as_ref())).await?;
        let Page { items, next } = page.json()?;
        all.extend(items);
        if next.is_none() || next == after {
            break;
        }
        after = next;
    }
    all.truncate(limit);
    Ok(all)
}
