//! Futures in boxes of their own.
//!
//! What a step of a session needs is many times what a session needs that waits, so it is
//! in a box that is there no longer than the step.

use std::pin::Pin;

/// The future in a box, made where it stays. `Box::pin` makes it elsewhere and copies it,
/// kilobytes for what has not begun: the room might not be had, and the future would have
/// to be dropped. Here the room is there first.
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let room = Box::<F>::new_uninit();
    Box::into_pin(Box::write(room, make()))
}

#[cfg(test)]
mod tests {
    use super::boxed;

    #[tokio::test]
    async fn the_future_is_the_one_that_was_made() {
        let (mut steps, large) = (Vec::new(), [7_u8; 4096]);
        let ended = boxed(|| async {
            steps.push("began");
            tokio::task::yield_now().await;
            steps.push("went on");
            large.map(usize::from).iter().sum::<usize>()
        });
        assert_eq!(ended.await, 7 * 4096);
        assert_eq!(steps, ["began", "went on"]);
    }
}
