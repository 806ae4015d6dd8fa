-- Only households that answered the survey are known as members. The survey bears no date, so an
-- answer counts as known from the first day of the data.
SELECT
    ident('household', household_id) AS member_id,
    age AS age_band,
    income AS income_band,
    household_size,
    'US' AS country,
    _file,
    _row
FROM demographics
