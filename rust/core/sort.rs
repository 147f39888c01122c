// SPDX-License-Identifier: GPL-2.0

//! Sorting in place without recursion, and without the panic that the standard library's sort has
//! for an order that contradicts itself.

/// Sorts so that no element is `before` the one in front of it; equal ones end up in any order.
///
/// A heap sort: O(n log n) also for the worst input.
pub fn by<T>(items: &mut [T], before: impl Fn(&T, &T) -> bool) {
    for root in (0..items.len() / 2).rev() {
        sift_down(items, root, &before);
    }
    let mut unsorted = items;
    while unsorted.len() > 1 {
        let last = unsorted.len() - 1;
        unsorted.swap(0, last);
        unsorted = unsorted.split_at_mut(last).0;
        sift_down(unsorted, 0, &before);
    }
}

/// Moves the element at `root` down until none of its children comes after it.
fn sift_down<T>(heap: &mut [T], mut root: usize, before: &impl Fn(&T, &T) -> bool) {
    loop {
        let child = 2 * root + 1;
        let (Some(left), right) = (heap.get(child), heap.get(child + 1)) else {
            return;
        };
        let child = if right.is_some_and(|right| before(left, right)) {
            child + 1
        } else {
            child
        };
        match (heap.get(root), heap.get(child)) {
            (Some(parent), Some(greater)) if before(parent, greater) => heap.swap(root, child),
            _ => return,
        }
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::by;

    #[test]
    fn edges() {
        for len in 0..40u64 {
            for seed in 0..50u64 {
                let mut numbers: std::vec::Vec<u64> = (0..len)
                    .map(|n| (n.wrapping_mul(seed * 2_654_435_761 + 1) >> 3) & 15)
                    .collect();
                let mut expected = numbers.clone();
                expected.sort_unstable();
                by(&mut numbers, |a, b| a < b);
                assert_eq!(numbers, expected);
            }
        }
    }

    #[test]
    fn an_order_that_contradicts_itself() {
        let mut numbers = [3, 1, 2, 5, 4];
        by(&mut numbers, |_, _| true);
        by(&mut numbers, |a, b| (a + b) % 3 == 0);
    }
}
