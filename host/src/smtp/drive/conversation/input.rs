//! Reading, without a buffer for sessions that wait: what memory holds of input is what
//! clients have sent, not what they might.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use crate::content::READ;

/// Reads what there is to the end of `input`, and gives how much it was; 0 at the end.
/// It comes by way of the stack, which a task that waits does not have.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut octets = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut octets);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        let octets = buffer.filled();
        input.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_comes_is_appended_and_waiting_takes_no_memory() {
        let (mut client, mut host) = tokio::io::duplex(64);
        let mut input = BytesMut::new();
        let waits = poll_fn(|context| {
            let mut reading = Box::pin(read(&mut host, &mut input));
            Poll::Ready(reading.as_mut().poll(context).is_pending())
        });
        assert!(waits.await);
        assert_eq!(input.capacity(), 0);
        for (sent, expected) in [("NO", "NO"), ("OP\r\n", "NOOP\r\n")] {
            client.write_all(sent.as_bytes()).await.expect("it is open");
            let length = read(&mut host, &mut input).await.expect("it is open");
            assert_eq!((length, &input[..]), (sent.len(), expected.as_bytes()));
        }
        drop(client);
        let end = read(&mut host, &mut input).await.expect("an orderly end");
        assert_eq!(end, 0);
    }
}
