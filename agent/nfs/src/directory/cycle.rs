//! Directories that go round in a circle of pages. Brent's algorithm, one step for each page: the
//! page is compared with one that came before, which moves on after 1, 2, 4, 8… pages.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use datasync_endpoint::{DirPage, ErrorKind};

use crate::position::Position;

/// The most listings under way whose pages are followed; one that is forgotten is followed anew.
const FOLLOWED_MAX: usize = 64;

/// What a page has in common with no other of its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    next_cookie: u64,
    first_name: Option<Bytes>,
}

/// How the pages of a listing have come so far.
#[derive(Debug)]
struct Trail {
    mark: Mark,
    pages_since: u64,
    pages_until_next: u64,
}

/// A page that was there before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Circle {
    #[error("the directory's cookie {0} comes again: reading on would not end")]
    Cookie(u64),
    #[error("a page that begins with \"{0}\" comes again")]
    Name(String),
}

impl Circle {
    /// A name may come again in a directory that is changed meanwhile.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Cookie(_) => ErrorKind::Protocol,
            Self::Name(_) => ErrorKind::BadCookie,
        }
    }
}

impl Trail {
    fn from(mark: Mark) -> Self {
        Self {
            mark,
            pages_since: 0,
            pages_until_next: 1,
        }
    }

    fn step(mut self, now: Mark) -> Result<Self, Circle> {
        if now.next_cookie == self.mark.next_cookie {
            return Err(Circle::Cookie(now.next_cookie));
        }
        if let Some(name) = &now.first_name
            && now.first_name == self.mark.first_name
        {
            return Err(Circle::Name(name.escape_ascii().to_string()));
        }
        self.pages_since += 1;
        if self.pages_since == self.pages_until_next {
            self.mark = now;
            self.pages_since = 0;
            self.pages_until_next = self.pages_until_next.saturating_mul(2);
        }
        Ok(self)
    }
}

#[derive(Debug)]
struct Followed {
    directory: Bytes,
    /// Where the listing goes on. Listings of one directory that meet here may share a trail: only
    /// what lies before is on it.
    cursor: Position,
    trail: Trail,
}

/// The trails of listings under way, found by the cursors that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Trails(Mutex<VecDeque<Followed>>);

impl Trails {
    /// Takes note of the page at `cursor`. Asking for a page again is no circle.
    pub(crate) fn follow(
        &self,
        directory: &Bytes,
        cursor: Option<Position>,
        page: &DirPage,
    ) -> Result<(), Circle> {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = |one: &Followed| one.directory == *directory && Some(one.cursor) == cursor;
        let place = followed.iter().position(here);
        let trail = place.and_then(|place| followed.remove(place));
        let Some(next) = page.next.as_ref().and_then(Position::read) else {
            return Ok(());
        };
        let now = Mark {
            next_cookie: next.cookie,
            first_name: page
                .entries
                .first()
                .map(|entry| Bytes::copy_from_slice(&entry.name)),
        };
        let trail = match trail {
            Some(followed) => followed.trail.step(now)?,
            None => Trail::from(now),
        };
        if followed.len() == FOLLOWED_MAX {
            followed.pop_front();
        }
        followed.push_back(Followed {
            directory: Bytes::copy_from_slice(directory),
            cursor: next,
            trail,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::{DirEntry, EndpointError, ErrorKind};
    use proptest::prelude::*;

    use super::*;

    fn cursor(cookie: u64) -> Position {
        Position {
            cookie,
            verifier: [1; 8],
        }
    }

    /// A page whose first name is `name` and which leads to `next`.
    fn page(name: u64, next: u64) -> DirPage {
        let error = EndpointError::new(ErrorKind::NotFound, "LOOKUP", "", "");
        DirPage {
            entries: vec![DirEntry {
                name: name.to_string().into(),
                node: Err(std::sync::Arc::new(error)),
            }],
            next: Some(cursor(next).into()),
        }
    }

    /// The number of the page at which a circle shows, of `pages` cookies and names.
    fn shows_at(pages: impl Iterator<Item = (u64, u64)>) -> Option<(u64, Circle)> {
        let (trails, directory) = (Trails::default(), Bytes::from("d"));
        let mut at = None;
        for (number, (name, next)) in (1..).zip(pages) {
            if let Err(circle) = trails.follow(&directory, at, &page(name, next)) {
                return Some((number, circle));
            }
            at = Some(cursor(next));
            assert_eq!(trails.0.lock().unwrap().len(), 1);
        }
        None
    }

    proptest! {
        #[test]
        fn a_circle_of_any_length_shows_soon(before in 0u64..200, round in 2u64..200) {
            let place = |n: u64| if n < before { n } else { before + (n - before) % round };
            let cookies = (0..).map(|n| (n, 1000 + place(n)));
            let (page, circle) = shows_at(cookies).unwrap();
            prop_assert!(matches!(circle, Circle::Cookie(_)));
            prop_assert!(page <= 3 * (before + round) + 2, "{} {} {}", before, round, page);
            let names = (0..).map(|n| (place(n), 1000 + n));
            let (page, circle) = shows_at(names).unwrap();
            prop_assert!(matches!(circle, Circle::Name(_)));
            prop_assert!(page <= 3 * (before + round) + 2, "{} {} {}", before, round, page);
        }
    }

    #[test]
    fn a_long_directory_is_no_circle_whoever_reads_it_how_often() {
        assert_eq!(shows_at((0..5000).map(|n| (n, 1000 + n))), None);
        let (trails, directory) = (Trails::default(), Bytes::from("d"));
        // Two readers, one behind the other, each asking for every page twice.
        for number in 0..2000u64 {
            for at in [Some(number), Some(number), number.checked_sub(3)] {
                let Some(at) = at else { continue };
                let from = at.checked_sub(1).map(|_| cursor(1000 + at - 1));
                trails
                    .follow(&directory, from, &page(at, 1000 + at))
                    .unwrap();
            }
        }
        assert!(trails.0.lock().unwrap().len() <= FOLLOWED_MAX);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends_with_the_listing() {
        let trails = Trails::default();
        for number in 0..1000u64 {
            let directory = Bytes::from(number.to_string());
            trails.follow(&directory, None, &page(0, 1)).unwrap();
        }
        assert_eq!(trails.0.lock().unwrap().len(), FOLLOWED_MAX);
        let last = DirPage {
            entries: Vec::new(),
            next: None,
        };
        trails
            .follow(&Bytes::from("999"), Some(cursor(1)), &last)
            .unwrap();
        assert_eq!(trails.0.lock().unwrap().len(), FOLLOWED_MAX - 1);
    }
}
