//! Merge and diff: layers put on each other and taken from each other.

use crate::pb;

use super::{Display, EMPTY, Inputs, Output};

/// The trees laid over each other, later ones on top; nothing if there are none.
///
/// A single tree is itself: `BuildKit` refuses a merge of one.
pub fn merge(trees: Vec<Output>, display: &Display) -> Option<Output> {
    if trees.len() < 2 {
        return trees.into_iter().next();
    }
    // A merge lists an input as often as it uses it: position matters here.
    let inputs = Inputs(trees);
    let numbers = (0i64..).zip(&inputs.0).map(|(input, _)| pb::MergeInput { input }).collect();
    let op = pb::op::Op::Merge(pb::MergeOp { inputs: numbers });
    let vertex = Output::make(op, &inputs, None, display, &["mergeop"]);
    Some(Output { vertex, index: 0 })
}

/// What `upper` changes against `lower`, deletions included. Against nothing it is `upper`.
pub fn diff(lower: Option<&Output>, upper: Option<&Output>, display: &Display) -> Option<Output> {
    let Some(lower) = lower else { return upper.cloned() };
    // The daemon reads the inputs in this order, equal or not, so they are not deduplicated.
    let mut inputs = Inputs(vec![lower.clone()]);
    let upper = match upper {
        None => EMPTY,
        Some(upper) => {
            inputs.0.push(upper.clone());
            1
        }
    };
    let op = pb::op::Op::Diff(pb::DiffOp {
        lower: Some(pb::LowerDiffInput { input: 0 }),
        upper: Some(pb::UpperDiffInput { input: upper }),
    });
    let vertex = Output::make(op, &inputs, None, display, &["diffop"]);
    Some(Output { vertex, index: 0 })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn the_laws_hold_at_the_constructor() {
        let display = Display::default();
        let tree = file::make_file(None, "/a", 0o644, b"", &display);
        assert!(merge(Vec::new(), &display).is_none());
        assert_eq!(merge(vec![tree.clone()], &display).unwrap().digest(), tree.digest());
        assert_eq!(diff(None, Some(&tree), &display).unwrap().digest(), tree.digest());
        assert!(diff(None, None, &display).is_none());
        assert!(diff(Some(&tree), None, &display).is_some());
    }
}
