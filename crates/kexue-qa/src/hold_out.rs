//! Which questions of a file are kept out of the training.

/// The items to train on, and those held out: one in `every`, the last of each group of so many; none where it is 0.
///
/// ```
/// assert_eq!(kexue_qa::hold_out(vec![1, 2, 3, 4, 5], 2), (vec![1, 3, 5], vec![2, 4]));
/// ```
pub fn hold_out<T>(items: Vec<T>, every: usize) -> (Vec<T>, Vec<T>) {
    let (mut kept, mut held_out) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        let part = if every > 0 && index % every == every - 1 {
            &mut held_out
        } else {
            &mut kept
        };
        part.push(item);
    }
    (kept, held_out)
}

/// At most `most` of the items, evenly spread.
///
/// ```
/// assert_eq!(kexue_qa::spread(vec![1, 2, 3, 4, 5, 6], 2), [3, 6]);
/// ```
pub fn spread<T>(items: Vec<T>, most: usize) -> Vec<T> {
    let all = items.len().max(1);
    let is_kept = |index: usize| most >= all || (index + 1) * most / all > index * most / all;
    let kept = items.into_iter().enumerate().filter(|(index, _)| is_kept(*index));
    kept.map(|(_, item)| item).collect()
}
