//! The printed table: medians of several runs, and their ratios to the first column.

/// Default number of runs per measurement (`RUNS`); medians are printed.
const RUNS: usize = 3;

/// One measured value.
pub struct Cell {
    what: String,
    unit: &'static str,
    value: f64,
}

/// What was measured of one subject, row by row.
struct Column {
    name: &'static str,
    cells: Vec<Cell>,
}

pub fn cell(what: impl Into<String>, unit: &'static str, value: f64) -> Cell {
    Cell { what: what.into(), unit, value }
}

/// Measures each subject, whose column has this name, and prints the table; `once` is one run.
pub fn print_medians<S>(subjects: &[S], name: impl Fn(&S) -> &'static str, once: impl Fn(&S) -> Vec<Cell>) {
    let columns: Vec<Column> =
        subjects.iter().map(|subject| Column { name: name(subject), cells: medians(|| once(subject)) }).collect();
    print(&columns);
}

/// Medians of several runs.
fn medians(once: impl Fn() -> Vec<Cell>) -> Vec<Cell> {
    let count = std::env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let mut runs: Vec<Vec<Cell>> = (0..count).map(|_| once()).collect();
    let mut medians = runs.pop().unwrap();
    for (row, cell) in medians.iter_mut().enumerate() {
        let mut values: Vec<f64> = runs.iter().map(|run| run[row].value).chain([cell.value]).collect();
        values.sort_by(f64::total_cmp);
        cell.value = values[values.len() / 2];
    }
    medians
}

pub fn thousands(number: usize) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

/// As Markdown.
fn print(columns: &[Column]) {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (row, first) in columns[0].cells.iter().enumerate() {
        let cells: Vec<String> =
            columns.iter().enumerate().map(|(column, found)| shown(found.cells[row].value, first, column)).collect();
        println!("| {} | {} |", first.what, cells.join(" | "));
    }
}

fn shown(value: f64, first: &Cell, column: usize) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    let number = match value {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if column == 0 {
        return format!("{number} {}", first.unit);
    }
    // A rate: more is better.
    let ratio = if first.unit.ends_with("/s") { first.value / value } else { value / first.value };
    format!("×{ratio:.1} ({number})")
}
