-- Every published line becomes one order line. The code goes first: codes that are no goods (postage,
-- fees, manual entries, discounts, samples, gift vouchers) are charges, negative on an invoice that
-- cancels. Of goods, what such an invoice (it begins with C) takes back is a return, and what has no
-- quantity or no price is bookkeeping.
SELECT
    InvoiceNo AS order_id,
    CASE
        WHEN StockCode = 'B' THEN 'adjustment'
        WHEN upper(StockCode) IN (
            'POST', 'DOT', 'M', 'C2', 'D', 'S', 'BANK CHARGES', 'AMAZONFEE', 'CRUK', 'PADS'
        ) OR StockCode ILIKE 'gift%' THEN 'charge'
        WHEN InvoiceNo LIKE 'C%' THEN 'return'
        WHEN Quantity <= 0 OR UnitPrice <= 0 THEN 'adjustment'
        ELSE 'sale'
    END AS line_type,
    StockCode AS product_id,
    Description AS description,
    Quantity AS quantity,
    CAST(UnitPrice AS DECIMAL(18, 4)) AS unit_price,
    CAST(Quantity * CAST(UnitPrice AS DECIMAL(18, 4)) AS DECIMAL(18, 4)) AS gross_amount,
    0 AS discount_amount,
    CAST(Quantity * CAST(UnitPrice AS DECIMAL(18, 4)) AS DECIMAL(18, 4)) AS net_amount,
    'GBP' AS currency,
    ident('uci', CustomerID) AS member_id,
    'web' AS channel,
    Country AS country,
    local_to_utc(InvoiceDate) AS ordered_at,
    _file,
    _row
FROM online_retail
