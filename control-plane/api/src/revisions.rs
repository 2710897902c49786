//! Reading a history (oldest first): pages and single revisions, the same for every implementation of the service.

use crate::service::{Page, PageRequest, RevisionView, ServiceError};
use control_plane_core::{
    history::{ConfigRevision, changes_at},
    ids::{ConnectorName, Generation},
};

/// A page of it, newest first.
///
/// # Errors
/// A page token that no list has answered.
pub fn page(history: &[ConfigRevision], request: &PageRequest) -> Result<Page<RevisionView>, ServiceError> {
    let below = match request.token.as_str() {
        "" => u64::MAX,
        token => token.parse().map_err(|_| ServiceError::bad_page_token())?,
    };
    let limit = request.limit();
    let wanted = history.iter().rposition(|revision| revision.generation.0 < below).map_or(0, |last| last + 1);
    let items: Vec<RevisionView> = (0..wanted).rev().take(limit).map(|index| view(history, index)).collect();
    let next = items.last().filter(|_| wanted > limit).map(|oldest| oldest.revision.generation.0.to_string());
    Ok(Page { items, next })
}

/// One of them.
///
/// # Errors
/// It is not there; the error says which are.
pub fn find(
    history: &[ConfigRevision],
    connector: &ConnectorName,
    wanted: Generation,
) -> Result<RevisionView, ServiceError> {
    let found = history.iter().position(|revision| revision.generation == wanted);
    found.map(|index| view(history, index)).ok_or_else(|| ServiceError::NoRevision {
        connector: connector.to_string(),
        revision: wanted.0,
        kept: history.first().zip(history.last()).map(|(oldest, newest)| (oldest.generation.0, newest.generation.0)),
    })
}

fn view(history: &[ConfigRevision], index: usize) -> RevisionView {
    RevisionView { revision: history[index].clone(), changes: changes_at(history, index) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_plane_core::{
        connector::Config,
        history::{Author, Reason},
        time::Wall,
    };

    fn history(generations: std::ops::RangeInclusive<u64>) -> Vec<ConfigRevision> {
        let revision = |generation| ConfigRevision {
            generation: Generation(generation),
            config: Config::new(),
            author: Author::default(),
            time: Wall(0),
            reason: Reason::default(),
            request_id: None,
        };
        generations.map(revision).collect()
    }

    #[test]
    fn pages_go_from_the_newest_to_the_oldest() {
        let history = history(3..=7);
        let read = |size, token: &str| {
            let page = page(&history, &PageRequest { size, token: token.to_owned() }).unwrap();
            (page.items.iter().map(|item| item.revision.generation.0).collect::<Vec<_>>(), page.next)
        };
        assert_eq!(read(0, ""), (vec![7, 6, 5, 4, 3], None));
        assert_eq!(read(2, ""), (vec![7, 6], Some("6".to_owned())));
        assert_eq!(read(2, "6"), (vec![5, 4], Some("4".to_owned())));
        assert_eq!(read(2, "4"), (vec![3], None));
        assert_eq!(read(5, ""), (vec![7, 6, 5, 4, 3], None));
        assert_eq!(read(2, "1"), (vec![], None));
        assert!(page(&history, &PageRequest { size: 0, token: "x".to_owned() }).is_err());
    }

    #[test]
    fn a_missing_revision_says_which_are_there() {
        let name = ConnectorName::parse("a").unwrap();
        let missing = |history: &[ConfigRevision]| find(history, &name, Generation(2)).unwrap_err().to_string();
        assert_eq!(missing(&history(3..=7)), "connector a has no revision 2; 3 to 7 are kept");
        assert_eq!(missing(&history(1..=1)), "connector a has no revision 2; only 1 is kept");
        assert_eq!(missing(&[]), "connector a has no revision 2; none are kept");
        assert_eq!(find(&history(1..=2), &name, Generation(2)).unwrap().revision.generation, Generation(2));
    }
}
