//! What anybody may write is compiled: should a defect of the relay make that panic, it is a mistake of this source, and ends no
//! task that others wait for. The log has its place.

use super::lint::Lint;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) fn contained<T>(
    place: &str,
    compile: impl FnOnce() -> Result<T, Vec<Lint>>,
) -> Result<T, Vec<Lint>> {
    catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| {
        let fix = "write it in another way, and report the line of the log that names the place";
        Err(vec![Lint::new(place, (0, 0), "reading it fails by a defect of the relay", fix)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_a_panic_is_a_mistake_of_its_source() {
        let lints = contained::<()>("t", || panic!("at some letter")).unwrap_err();
        let told = lints[0].to_string();
        assert!(told.starts_with("t: reading it fails by a defect of the relay; fix: "), "{told}");
    }
}
