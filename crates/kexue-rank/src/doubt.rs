//! Why a cell is not a score.

/// Why a cell is not a score, or is an ambiguous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// No number.
    NotANumber,
    /// Numbers separated by nothing but space.
    Unseparated,
    /// A parenthesis that is not closed.
    OpenParenthesis,
    /// Nothing but a number in parentheses.
    OnlyParentheses,
    /// A number in parentheses.
    Parentheses,
    /// Words in parentheses that are not the same in all cells of the column.
    Labels,
    /// One error after several metrics.
    SharedError,
    /// `1,234`
    Comma,
    /// `1.234` among decimal commas.
    PointAmongCommas,
    /// `1,234` among decimal commas and decimal points.
    BothMarks,
    /// A decimal mark that differs from the one that was set.
    OtherMark,
    /// A cell with fewer metrics than others of its column.
    FewerMetrics,
    /// `0.92` among percentages.
    Fraction,
}

impl Doubt {
    /// The reason, as the end of a sentence that begins with "not a score:".
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotANumber => "not a number",
            Self::Unseparated => "several numbers with only a space between them",
            Self::OpenParenthesis => "an unclosed parenthesis",
            Self::OnlyParentheses => "only a number in parentheses",
            Self::Parentheses => "a number in parentheses, which may be an error, a rank or a difference",
            Self::Labels => "the words in parentheses differ from those of other cells of the column",
            Self::SharedError => "one error after several metrics",
            Self::Comma => "a comma before three digits may separate thousands or decimals",
            Self::PointAmongCommas => {
                "the column has decimal commas, so a point before three digits may separate thousands"
            }
            Self::BothMarks => "the column has both decimal commas and decimal points",
            Self::OtherMark => "the decimal mark differs from the one that was set",
            Self::FewerMetrics => "other cells of the column have more metrics",
            Self::Fraction => "other cells are percentages, but this one may be a fraction",
        }
    }

    /// Whether the cell contains a number that is ambiguous.
    pub fn is_number(self) -> bool {
        !matches!(self, Self::NotANumber | Self::OpenParenthesis)
    }
}
