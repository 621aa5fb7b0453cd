//! A stream that passes from task to task many elements at a time, so that one costs no wake-up.

use tokio::sync::mpsc;

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    receiver: mpsc::Receiver<Vec<T>>,
    page: std::vec::IntoIter<T>,
}

/// A stream of which `pages` wait between its ends.
pub(crate) fn channel<T>(pages: usize) -> (mpsc::Sender<Vec<T>>, Paged<T>) {
    let (sender, receiver) = mpsc::channel(pages);
    let page = Vec::new().into_iter();
    (sender, Paged { receiver, page })
}

impl<T> Paged<T> {
    /// The next element; `None` once the sender is gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        loop {
            if let Some(element) = self.page.next() {
                return Some(element);
            }
            self.page = self.receiver.recv().await?.into_iter();
        }
    }
}
