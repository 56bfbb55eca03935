//! The table of `docs/reservations.md`: what each command does in each state. Every cell is told as a story,
//! and none is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::telling::tell;

const DOCUMENTATION: &str = include_str!("../../docs/reservations.md");

/// How `R1` of `C1` comes into a state; the command follows in second 60.
const STATES: [(&str, &str); 6] = [
    ("*unknown*", ""),
    ("*early*", "release R1 why=ORDER_CANCELLED -> RESERVATION_NOT_FOUND R1"),
    ("`HELD`", "reserve C1 P1x2 P2x1 id=R1 hold=90 -> reserved R1 C1 P1x2 P2x1 since=0 until=90"),
    (
        "`RELEASED`",
        "reserve C1 P1x2 P2x1 id=R1 -> reserved R1 C1 P1x2 P2x1 since=0
         release R1 why=EXPIRED -> released R1 P1x2 P2x1",
    ),
    ("*lapsed*", "reserve C1 P1x2 P2x1 id=R1 hold=30 -> reserved R1 C1 P1x2 P2x1 since=0 until=30"),
    (
        "`CONSUMED`",
        "reserve C1 P1x2 P2x1 id=R1 -> reserved R1 C1 P1x2 P2x1 since=0
         consume R1 -> consumed R1 P1x2 P2x1",
    ),
];

/// State, what happens, and what the books say afterwards, below the row of the table.
const CELLS: &str = "
## `ReserveInventory` naming the id, for the same cart
*unknown*  | reserve C1 P1x1 id=R1 -> reserved R1 C1 P1x1 since=60              | R1 HELD C1 P1x1
*early*    | reserve C1 P1x1 id=R1 -> unavailable C1 RELEASED_BEFORE at=60      | R1 RELEASED ORDER_CANCELLED
`HELD`     | reserve C1 P1x3 id=R1 -> reserved R1 C1 P1x3 since=60 until=90     | R1 HELD C1 P1x3 until=90; P1 3/5; P2 0/5
`HELD`     | reserve C1 P2x1 P1x2 id=R1 -> reserved R1 C1 P1x2 P2x1 since=0 until=90 | R1 HELD C1 P1x2 P2x1 until=90
`RELEASED` | reserve C1 P1x1 id=R1 -> unavailable C1 RELEASED_BEFORE at=60      | R1 RELEASED EXPIRED; P1 0/5
*lapsed*   | reserve C1 P1x2 P2x1 id=R1 -> unavailable C1 RELEASED_BEFORE at=60 | R1 RELEASED LAPSED | open P1x2 P2x1; P1 0/5
`CONSUMED` | reserve C1 P1x1 id=R1 -> unavailable C1 RELEASED_BEFORE at=60      | R1 CONSUMED; P1 0/3

## the same, for another cart
*unknown*  | reserve C2 P1x1 id=R1 -> reserved R1 C2 P1x1 since=60              | R1 HELD C2 P1x1
*early*    | reserve C2 P1x1 id=R1 -> unavailable C2 RELEASED_BEFORE at=60      | R1 RELEASED ORDER_CANCELLED
`HELD`     | reserve C2 P1x1 id=R1 -> RESERVATION_ID_REUSED R1                  | R1 HELD C1 P1x2 P2x1 until=90; P1 2/5
`RELEASED` | reserve C2 P1x1 id=R1 -> RESERVATION_ID_REUSED R1                  | R1 RELEASED EXPIRED; P1 0/5
*lapsed*   | reserve C2 P1x1 id=R1 -> RESERVATION_ID_REUSED R1                  | R1 RELEASED LAPSED | open P1x2 P2x1; P1 0/5
`CONSUMED` | reserve C2 P1x1 id=R1 -> RESERVATION_ID_REUSED R1                  | R1 CONSUMED; P1 0/3

## `ReleaseInventory`
*unknown*  | release R1 why=EXPIRED -> RESERVATION_NOT_FOUND R1                 | R1 RELEASED EXPIRED
*early*    | release R1 why=EXPIRED -> RESERVATION_NOT_FOUND R1                 | R1 RELEASED ORDER_CANCELLED
`HELD`     | release R1 -> released R1 P1x2 P2x1                                | R1 RELEASED | released P1x2 P2x1; P1 0/5; P2 0/5
`RELEASED` | release R1 -> released R1                                          | R1 RELEASED EXPIRED; P1 0/5
*lapsed*   | release R1 why=ORDER_CANCELLED -> released R1                      | R1 RELEASED LAPSED | open P1x2 P2x1; P1 0/5
`CONSUMED` | release R1 -> RESERVATION_CONSUMED R1                              | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3

## `ReleaseInventory` with `items`
*unknown*  | release R1 P1x1 -> RESERVATION_NOT_FOUND R1                        | R1 RELEASED
*early*    | release R1 P1x1 -> RESERVATION_NOT_FOUND R1                        | R1 RELEASED ORDER_CANCELLED
`HELD`     | release R1 P1x1 -> released R1 P1x1 HELD                           | R1 HELD C1 P1x1 P2x1 until=90 | released P1x1; P1 1/5
`HELD`     | release R1 P2x1 P1x2 -> released R1 P2x1 P1x2                      | R1 RELEASED | released P1x2 P2x1; P1 0/5; P2 0/5
`HELD`     | release R1 P1x3 -> EXCEEDS_HELD R1 P1x2 P2x1                       | R1 HELD C1 P1x2 P2x1 until=90; P1 2/5
`HELD`     | release R1 P1x1 P3x1 -> EXCEEDS_HELD R1 P1x2 P2x1                  | R1 HELD C1 P1x2 P2x1 until=90; P1 2/5
`RELEASED` | release R1 P1x1 -> EXCEEDS_HELD R1                                 | R1 RELEASED EXPIRED; P1 0/5
*lapsed*   | release R1 P1x1 -> EXCEEDS_HELD R1                                 | R1 RELEASED LAPSED | open P1x2 P2x1; P1 0/5
`CONSUMED` | release R1 P1x1 -> RESERVATION_CONSUMED R1                         | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3

## `ConsumeInventory`
*unknown*  | consume R1 -> RESERVATION_NOT_FOUND R1; reserve C1 P1x1 id=R1 -> reserved R1 C1 P1x1 since=60 | P1 1/5
*early*    | consume R1 -> RESERVATION_NOT_FOUND R1                             | R1 RELEASED ORDER_CANCELLED
`HELD`     | consume R1 -> consumed R1 P1x2 P2x1                                | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3; P2 0/4
`RELEASED` | consume R1 -> RESERVATION_RELEASED R1                              | R1 RELEASED EXPIRED; P1 0/5
*lapsed*   | consume R1 -> consumed R1 P1x2 P2x1 taken-again                    | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3; P2 0/4
*lapsed*   | reserve C2 P1x4 -> reserved N2 C2 P1x4 since=60; consume R1 -> HOLD_LAPSED R1 P1:2>1 | R1 RELEASED LAPSED | open P1x2 P2x1; P1 4/5
`CONSUMED` | consume R1 -> consumed R1                                          | R1 CONSUMED; P1 0/3

## `ConsumeInventory` with `items`
*unknown*  | consume R1 P1x1 -> RESERVATION_NOT_FOUND R1; reserve C1 P1x1 id=R1 -> reserved R1 C1 P1x1 since=60 | P1 1/5
*early*    | consume R1 P1x1 -> RESERVATION_NOT_FOUND R1                        | R1 RELEASED ORDER_CANCELLED
`HELD`     | consume R1 P1x1 -> consumed R1 P1x1 HELD                           | R1 HELD C1 P1x1 P2x1 until=90 | consumed P1x1; P1 1/4
`HELD`     | consume R1 P2x1 P1x2 -> consumed R1 P2x1 P1x2                      | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3; P2 0/4
`HELD`     | consume R1 P1x3 -> EXCEEDS_HELD R1 P1x2 P2x1                       | R1 HELD C1 P1x2 P2x1 until=90; P1 2/5
`RELEASED` | consume R1 P1x1 -> RESERVATION_RELEASED R1                         | R1 RELEASED EXPIRED; P1 0/5
*lapsed*   | consume R1 P1x1 -> consumed R1 P1x1 RELEASED taken-again           | R1 RELEASED LAPSED | open P1x1 P2x1 since=0 consumed P1x1; P1 0/4
*lapsed*   | consume R1 P2x1 P1x2 -> consumed R1 P2x1 P1x2 taken-again          | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3; P2 0/4
*lapsed*   | reserve C2 P1x5 -> reserved N2 C2 P1x5 since=60; consume R1 P1x1 -> HOLD_LAPSED R1 P1:1>0 | R1 RELEASED LAPSED | open P1x2 P2x1; P1 5/5
*lapsed*   | consume R1 P1x3 -> EXCEEDS_HELD R1 P1x2 P2x1                       | R1 RELEASED LAPSED | open P1x2 P2x1; P1 0/5
`CONSUMED` | consume R1 P1x1 -> EXCEEDS_HELD R1                                 | R1 CONSUMED | consumed P1x2 P2x1; P1 0/3

## `ExtendHold`
*unknown*  | extend R1 hold=30 -> RESERVATION_NOT_FOUND R1; reserve C1 P1x1 id=R1 -> reserved R1 C1 P1x1 since=60 | R1 HELD C1 P1x1
*early*    | extend R1 hold=30 -> RESERVATION_NOT_FOUND R1                      | R1 RELEASED ORDER_CANCELLED
`HELD`     | extend R1 hold=60 -> extended R1 until=120                         | R1 HELD C1 P1x2 P2x1 until=120
`HELD`     | extend R1 hold=10 -> extended R1 until=90                          | R1 HELD C1 P1x2 P2x1 until=90
`RELEASED` | extend R1 hold=30 -> RESERVATION_RELEASED R1                       | R1 RELEASED EXPIRED
*lapsed*   | extend R1 hold=30 -> HOLD_LAPSED R1                                | R1 RELEASED LAPSED | until=30
`CONSUMED` | extend R1 hold=30 -> RESERVATION_CONSUMED R1                       | R1 CONSUMED

## its time is over
`HELD`     | @90 sweep                                                          | R1 RELEASED LAPSED | open P1x2 P2x1; P1 0/5; P2 0/5
";

#[test]
fn every_cell_goes_as_the_table_says() {
    for cell in cells() {
        cell.tell("");
        if cell.state == "*lapsed*" {
            // It makes no difference whether somebody has looked before.
            cell.tell("@60 sweep");
        }
    }
}

#[test]
fn every_cell_of_the_documentation_is_told_with_its_codes() {
    let mut told: BTreeMap<(String, String), String> = BTreeMap::new();
    for cell in cells() {
        let stories = told.entry((cell.command.to_owned(), cell.state.to_owned())).or_default();
        for text in [cell.happens, cell.books] {
            stories.push_str(text);
            stories.push('\n');
        }
    }
    let documented = documented();
    assert_eq!(told.keys().collect::<BTreeSet<_>>(), documented.keys().collect::<BTreeSet<_>>());
    for (cell, text) in documented {
        for code in codes(&text) {
            assert!(told[&cell].contains(&code), "{cell:?} says {code}: {}", told[&cell]);
        }
    }
}

#[derive(Debug)]
struct Cell {
    command: &'static str,
    state: &'static str,
    happens: &'static str,
    books: &'static str,
}

fn cells() -> Vec<Cell> {
    let mut command = "";
    let mut cells = Vec::new();
    for row in CELLS.lines().filter(|row| !row.is_empty()) {
        if let Some(next) = row.strip_prefix("## ") {
            command = next;
            continue;
        }
        let mut columns = row.splitn(3, '|').map(str::trim);
        let mut column = || columns.next().unwrap_or_else(|| panic!("too few columns: {row}"));
        cells.push(Cell { command, state: column(), happens: column(), books: column() });
    }
    cells
}

impl Cell {
    fn tell(&self, before: &str) {
        let known = STATES.iter().find(|(state, _)| *state == self.state);
        let (_, beginning) = known.unwrap_or_else(|| panic!("no such state: {self:?}"));
        let happens: Vec<&str> = self.happens.split(';').map(str::trim).collect();
        let happens = happens.join("\n");
        let at = if happens.starts_with('@') { "" } else { "@60 " };
        let books: Vec<String> = self.books.split(';').map(|quoted| format!("= {}", quoted.trim())).collect();
        let books = books.join("\n");
        tell(&format!("stock P1 5\nstock P2 5\n{beginning}\n{before}\n{at}{happens}\n{books}"));
    }
}

/// The cells of the documentation that say something, by command and state.
fn documented() -> BTreeMap<(String, String), String> {
    let from = DOCUMENTATION.split_once("## Commands by state").map_or("", |(_, from)| from);
    let mut rows = from.lines().skip_while(|line| !line.starts_with('|')).take_while(|l| l.starts_with('|'));
    let columns = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').map(|column| column.trim().to_owned()).collect()
    };
    let states = rows.next().map(columns).unwrap_or_default();
    let mut cells = BTreeMap::new();
    for row in rows.skip(1).map(columns) {
        for (state, text) in states.iter().zip(&row).skip(1).filter(|(_, text)| !text.is_empty()) {
            cells.insert((row[0].clone(), state.clone()), text.clone());
        }
    }
    cells
}

/// `RELEASED_BEFORE` and its like, as far as a cell names them.
fn codes(text: &str) -> Vec<String> {
    let is_code = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !word.is_empty();
    let mut codes: Vec<String> = text.split('`').filter(is_code).map(ToOwned::to_owned).collect();
    codes.extend(text.contains("404").then(|| "RESERVATION_NOT_FOUND".to_owned()));
    codes
}
