//! Sums of prices, which are decimal numbers in strings: exact, as a float is not. No other arithmetic.

/// Digits that a sum may have; prices have about ten.
const MAX_DIGITS: u32 = 36;

/// A number of units of `10^-scale`.
struct Decimal {
    units: i128,
    scale: u32,
}

/// The sum of two decimal numbers with as many decimal places as the longer one has; none if one of them is no number, or is
/// too long.
pub(super) fn sum(left: &str, right: &str) -> Option<String> {
    let (left, right) = (read(left)?, read(right)?);
    let scale = left.scale.max(right.scale);
    let units = left.at_scale(scale)?.checked_add(right.at_scale(scale)?)?;
    Some(Decimal { units, scale }.write())
}

impl Decimal {
    fn at_scale(&self, scale: u32) -> Option<i128> {
        self.units.checked_mul(10_i128.checked_pow(scale - self.scale)?)
    }

    fn write(&self) -> String {
        let (sign, digits) = (if self.units < 0 { "-" } else { "" }, self.units.unsigned_abs().to_string());
        let scale = self.scale as usize;
        let digits = format!("{digits:0>length$}", length = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

/// Reads `12`, `-0.5`, `1E-7`.
fn read(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || whole.len() + fraction.len() > MAX_DIGITS as usize {
        return None;
    }
    let units: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    if scale.unsigned_abs() > MAX_DIGITS {
        return None;
    }
    match u32::try_from(scale) {
        Ok(scale) => Some(Decimal { units, scale }),
        Err(_) => Some(Decimal { units: units.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?, scale: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_added_exactly() {
        let rows = [
            ("0.1", "0.2", Some("0.3")),
            ("0", "0.0", Some("0.0")),
            ("0.00002", "0.00002", Some("0.00004")),
            ("1E-7", "2e-7", Some("0.0000003")),
            ("1e3", "1", Some("1001")),
            ("-0.5", "0.25", Some("-0.25")),
            ("12.5", "", None),
            ("12.5", "free", None),
            ("1", "1e99", None),
            ("1", "1e-99999999999", None),
            ("1", "0.-5", None),
            ("1", &"9".repeat(99), None),
            (&"9".repeat(36), &"9".repeat(36), Some("1999999999999999999999999999999999998")),
        ];
        for (left, right, expected) in rows {
            assert_eq!(sum(left, right).as_deref(), expected, "{left} + {right}");
            assert_eq!(sum(right, left).as_deref(), expected, "{right} + {left}");
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_whole_units(left in 0_u64..u64::MAX / 2, right in 0_u64..u64::MAX / 2) {
            let text = |units: u64| format!("{}.{:07}", units / 10_000_000, units % 10_000_000);
            prop_assert_eq!(sum(&text(left), &text(right)), Some(text(left + right)));
        }

        #[test]
        fn any_text_is_read_without_a_panic(left in ".{0,40}", right in "[-0-9.eE]{0,40}") {
            let _ = sum(&left, &right);
        }
    }
}
