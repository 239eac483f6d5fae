//! A set that nearly always holds one.

/// Mostly one, sometimes more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    More(Vec<T>),
}

impl<T: PartialEq> Few<T> {
    pub(super) fn add(&mut self, new: T) {
        match self {
            Self::None => *self = Self::One(new),
            Self::One(one) if *one == new => {}
            Self::More(more) => {
                if !more.contains(&new) {
                    more.push(new);
                }
            }
            Self::One(_) => {
                let Self::One(one) = std::mem::take(self) else { return };
                *self = Self::More(vec![one, new]);
            }
        }
    }

    pub(super) fn remove(&mut self, old: &T) {
        match self {
            Self::One(one) if one == old => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::More(more) => {
                more.retain(|kept| kept != old);
                if more.len() < 2 {
                    *self = more.pop().map_or(Self::None, Self::One);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::None
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        match self {
            Self::None => [].iter(),
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::More(more) => more.iter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_each_once() {
        let mut few = Few::default();
        let held = |few: &Few<u8>| few.iter().copied().collect::<Vec<_>>();
        for (add, expected) in [(1, vec![1]), (1, vec![1]), (2, vec![1, 2]), (2, vec![1, 2]), (3, vec![1, 2, 3])] {
            few.add(add);
            assert_eq!(held(&few), expected);
        }
        for (remove, expected) in [(2, vec![1, 3]), (2, vec![1, 3]), (1, vec![3]), (1, vec![3]), (3, vec![])] {
            few.remove(&remove);
            assert_eq!(held(&few), expected);
        }
        assert!(few.is_empty());
    }
}
