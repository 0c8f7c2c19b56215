//! Long answers in pages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::store;

/// How many unless it is said.
const DEFAULT: u32 = 100;

/// A page of a thousand policies is some hundred kilobytes.
const MOST: u32 = 1000;

/// Which part is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before, as it is; without it the first page.
    after: Option<String>,
}

/// The same of what goes by a number.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NumberedPart {
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before, as it is; without it the first page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// A part of something long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// In their order.
    items: Vec<T>,
    /// Ask with `after` set to this for what follows; null at the end.
    next: Option<String>,
}

impl Part {
    /// For what goes by a name.
    pub(super) fn named(self) -> Result<store::Page, Problem> {
        Ok(store::Page {
            limit: limit(self.limit)?,
            after: self.after.unwrap_or_default(),
        })
    }
}

impl NumberedPart {
    /// Beginning at a number that is before the first.
    pub(super) fn numbered(&self, first: i64) -> Result<(i64, i64), Problem> {
        Ok((number(self.after.as_deref(), first)?, limit(self.limit)?))
    }
}

/// How many.
pub(super) fn limit(asked: Option<u32>) -> Result<i64, Problem> {
    match asked.unwrap_or(DEFAULT) {
        limit @ 1..=MOST => Ok(i64::from(limit)),
        other => Err(Problem::bad(format!(
            "limit: {other} is not from 1 to {MOST}"
        ))),
    }
}

/// From where on.
pub(super) fn number(after: Option<&str>, first: i64) -> Result<i64, Problem> {
    let Some(after) = after else {
        return Ok(first);
    };
    // No sign, and as many digits as every number of that kind fits into.
    let is_number = (1..=18).contains(&after.len()) && after.bytes().all(|b| b.is_ascii_digit());
    let number = after.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| {
        Problem::bad(format!(
            "after: {after:?} is not what \"next\" of a page was"
        ))
    })
}

impl<T> Page<T> {
    /// These; where they are as many as were asked for there may be more.
    pub(super) fn of(items: Vec<T>, limit: i64, key: impl Fn(&T) -> String) -> Self {
        let is_full = i64::try_from(items.len()).is_ok_and(|found| found >= limit);
        let next = items.last().filter(|_| is_full).map(key);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_has_a_next() {
        let page = |items: &[i64]| Page::of(items.to_vec(), 2, ToString::to_string).next;
        assert_eq!(page(&[1]), None);
        assert_eq!(page(&[1, 2]), Some("2".to_owned()));
        assert_eq!(page(&[]), None);
    }

    #[test]
    fn limits_and_places_are_checked() {
        assert_eq!(limit(None).ok(), Some(100));
        assert_eq!(limit(Some(1000)).ok(), Some(1000));
        assert!(limit(Some(0)).is_err() && limit(Some(1001)).is_err());
        assert_eq!(number(Some("7"), 0).ok(), Some(7));
        for other in ["x", "", "-1", "+1", "1000000000000000000"] {
            assert!(number(Some(other), 0).is_err(), "{other:?}");
        }
    }
}
