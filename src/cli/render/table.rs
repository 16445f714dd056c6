//! Tables that fit the terminal: columns are dropped by priority, then one column is cut; where even that is too wide,
//! the others are.
//!
//! Invariant: every row is one line, no wider than asked.

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width};

/// A column's title and what may happen to it in a narrow terminal.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// What may happen to it.
    pub fit: Fit,
}

/// What may happen to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Shown whole, unless the terminal is too narrow for all of these.
    Keep,
    /// Dropped when space is short, the highest number first.
    Drop(u8),
    /// Takes what is left and is cut; one per table.
    Cut,
}

/// A column that is shown whole wherever there is room for it.
#[must_use]
pub const fn keep(title: &'static str) -> Column {
    Column {
        title,
        fit: Fit::Keep,
    }
}

/// A column that is dropped when space is short.
#[must_use]
pub const fn droppable(title: &'static str, order: u8) -> Column {
    Column {
        title,
        fit: Fit::Drop(order),
    }
}

/// The column that is cut.
#[must_use]
pub const fn cut(title: &'static str) -> Column {
    Column {
        title,
        fit: Fit::Cut,
    }
}

/// Between two columns.
const GAP_COLUMNS: usize = 2;
/// A column that is cut keeps at least this much before others are dropped for it.
const CUT_MIN_COLUMNS: usize = 16;
/// What is left of it in a terminal that is narrower still, and of the other columns before one is left out.
const LEAST_COLUMNS: usize = 4;

/// The lines of a table of at most `width` columns, the title line first.
#[must_use]
pub fn render(columns: &[Column], rows: &[Vec<String>], width: usize) -> Vec<String> {
    let natural: Vec<usize> = (0..columns.len())
        .map(|index| natural_width(columns, rows, index))
        .collect();
    let mut shown = choose(columns, &natural, width);
    let widths = fitted(columns, &mut shown, &natural, width);
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // The last column's padding is trimmed away below.
    table.set_width(clamp(width + GAP_COLUMNS));
    table.set_header(one_line(
        shown
            .iter()
            .filter_map(|index| columns.get(*index))
            .map(|column| column.title.to_owned()),
    ));
    for row in rows {
        table.add_row(one_line(
            shown
                .iter()
                .map(|index| row.get(*index).cloned().unwrap_or_default()),
        ));
    }
    for (place, given) in widths.into_iter().enumerate() {
        let Some(column) = table.column_mut(place) else {
            continue;
        };
        column.set_padding((0, clamp(GAP_COLUMNS)));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(clamp(
            given + GAP_COLUMNS,
        ))));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn one_line(cells: impl Iterator<Item = String>) -> Row {
    let mut row = Row::from(cells.collect::<Vec<_>>());
    row.max_height(1);
    row
}

fn fit(columns: &[Column], index: usize) -> Fit {
    columns.get(index).map_or(Fit::Keep, |column| column.fit)
}

fn width_of(natural: &[usize], index: usize) -> usize {
    natural.get(index).copied().unwrap_or_default()
}

fn natural_width(columns: &[Column], rows: &[Vec<String>], index: usize) -> usize {
    let title = columns.get(index).map_or(0, |column| column.title.len());
    let cells = rows
        .iter()
        .filter_map(|row| row.get(index))
        .map(|cell| display_width(cell));
    cells.max().unwrap_or_default().max(title)
}

/// Columns that a text takes: counted wide beyond the scripts that are surely narrow, so that a table is rather too
/// narrow than broken.
fn display_width(text: &str) -> usize {
    const WIDE_FROM: char = '\u{1100}';
    // General punctuation (…, ⏎, dashes) is narrow.
    const NARROW_AGAIN: std::ops::RangeInclusive<char> = '\u{2000}'..='\u{2bff}';
    text.chars()
        .map(|c| {
            if c >= WIDE_FROM && !NARROW_AGAIN.contains(&c) {
                2
            } else {
                1
            }
        })
        .sum()
}

/// The columns to show: drops the one with the highest number until what must be shown fits.
fn choose(columns: &[Column], natural: &[usize], width: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    loop {
        let needed: usize = shown
            .iter()
            .map(|index| {
                let natural = width_of(natural, *index);
                if fit(columns, *index) == Fit::Cut {
                    natural.min(CUT_MIN_COLUMNS)
                } else {
                    natural
                }
            })
            .sum::<usize>()
            + GAP_COLUMNS * shown.len().saturating_sub(1);
        if needed <= width {
            return shown;
        }
        let least = shown
            .iter()
            .filter_map(|index| match fit(columns, *index) {
                Fit::Drop(order) => Some((order, *index)),
                Fit::Keep | Fit::Cut => None,
            })
            .max();
        let Some((_, least)) = least else {
            return shown;
        };
        shown.retain(|index| *index != least);
    }
}

/// The widths of the columns that are shown: what is too much is taken from the column that is cut, then from the
/// others, the last one first. Where the least of each is too much, the last ones are not shown. The first one names the
/// row: it is cut when it is alone.
fn fitted(
    columns: &[Column],
    shown: &mut Vec<usize>,
    natural: &[usize],
    width: usize,
) -> Vec<usize> {
    loop {
        let mut widths: Vec<usize> = shown
            .iter()
            .map(|index| width_of(natural, *index))
            .collect();
        let mut over = (widths.iter().sum::<usize>() + GAP_COLUMNS * shown.len().saturating_sub(1))
            .saturating_sub(width);
        // First the one that is meant to be cut; a stable sort keeps the others in their order.
        let alone = shown.len() == 1;
        let mut order: Vec<usize> = (usize::from(!alone)..shown.len()).rev().collect();
        order.sort_by_key(|place| {
            shown
                .get(*place)
                .is_none_or(|index| fit(columns, *index) != Fit::Cut)
        });
        for place in order {
            if let Some(given) = widths.get_mut(place) {
                let taken = over.min(given.saturating_sub(LEAST_COLUMNS));
                *given -= taken;
                over -= taken;
            }
        }
        if over == 0 || alone || shown.is_empty() {
            return widths;
        }
        shown.pop();
    }
}

fn clamp(columns: usize) -> u16 {
    u16::try_from(columns).unwrap_or(u16::MAX)
}
