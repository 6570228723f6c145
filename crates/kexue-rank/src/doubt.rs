//! Why a cell is not a score.

/// Why a cell is not a score, or not one that can be read in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// No number.
    NotANumber,
    /// Numbers with nothing but space between them.
    Unseparated,
    /// A parenthesis that is not closed.
    OpenParenthesis,
    /// Nothing but a number in parentheses.
    OnlyParentheses,
    /// A number in parentheses.
    Parentheses,
    /// Words in parentheses that are not the same in all cells of the column.
    Labels,
    /// One error behind several metrics.
    SharedError,
    /// `1,234`
    Comma,
    /// `1.234` among decimal commas.
    PointAmongCommas,
    /// `1,234` among decimal commas and decimal points.
    BothMarks,
    /// The other decimal mark than the one that was set.
    OtherMark,
    /// A cell with fewer metrics than others of its column.
    FewerMetrics,
    /// `0.92` among percentages.
    Fraction,
}

impl Doubt {
    /// In words, to follow "not a score:".
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotANumber => "not a number",
            Self::Unseparated => "several numbers with only a space between them",
            Self::OpenParenthesis => "a parenthesis that is not closed",
            Self::OnlyParentheses => "a number in parentheses alone",
            Self::Parentheses => "a number in parentheses, which may be an error, a rank or a difference",
            Self::Labels => "the words in parentheses differ from those of other cells of the column",
            Self::SharedError => "one error behind several metrics",
            Self::Comma => "a comma with three digits behind it may separate thousands or decimals",
            Self::PointAmongCommas => {
                "the column has decimal commas, so a point with three digits behind it may separate thousands"
            }
            Self::BothMarks => "the column has decimal commas and decimal points",
            Self::OtherMark => "a number with another decimal mark than the one that was set",
            Self::FewerMetrics => "other cells of the column have more metrics",
            Self::Fraction => "other cells are percentages, this one may be a fraction",
        }
    }

    /// Whether the cell has a number, only not one that can be read in one way.
    pub fn is_number(self) -> bool {
        !matches!(self, Self::NotANumber | Self::OpenParenthesis)
    }
}
