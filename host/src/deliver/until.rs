//! How long the targets of a message are waited for.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long they are waited for yet when the host stops waiting: what is nearly done is
/// done by then, and what is not is told to the client well before the host ends.
const MOMENT: Duration = Duration::from_secs(1);

/// How long the targets of a message are waited for.
#[derive(Clone, Debug)]
pub struct Until {
    /// The client has its reply then.
    pub due: Instant,
    /// The host stops, and waits no longer than another moment.
    pub cut_off: CancellationToken,
}

impl Until {
    /// The host does not stop.
    #[cfg(test)]
    pub(crate) fn due(due: Instant) -> Self {
        let cut_off = CancellationToken::new();
        Self { due, cut_off }
    }

    /// What comes of this; none where the host does not wait for it any longer.
    pub(super) async fn unless_cut_off<T>(
        &self,
        work: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        let cut_off = async {
            self.cut_off.cancelled().await;
            sleep(MOMENT).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = cut_off => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_nearly_done_is_done() {
        let until = Until::due(Instant::now());
        assert_eq!(until.unless_cut_off(pin!(async { 1 })).await, Some(1));
        let stop = until.cut_off.clone();
        let stopping = tokio::spawn(async move {
            sleep(Duration::from_secs(100)).await;
            stop.cancel();
        });
        let nearly = sleep(Duration::from_secs(100) + MOMENT / 2);
        assert_eq!(until.unless_cut_off(pin!(nearly)).await, Some(()));
        stopping.await.expect("it ends");
        let begun = Instant::now();
        assert_eq!(until.unless_cut_off(pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), MOMENT.as_secs());
    }
}
