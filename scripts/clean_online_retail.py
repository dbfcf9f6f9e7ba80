"""Makes the shipped sample from the UCI Online Retail transactions: python scripts/clean_online_retail.py TRANSACTIONS.parquet [FOLDER]

Kept: sales (no cancellations) with a known customer, a positive quantity and price, and a product code of five digits with an
optional letter (the others are postage, fees, vouchers). Rows of one invoice that repeat an item become one, quantities summed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parents[1] / "src" / "tastemaker" / "data" / "sample"

SALES = """
create temp table sales as
select row_number() over () as place, invoice_no, stock_code, trim(description) as description, quantity,
       invoice_time::timestamp as time, unit_price, customer_id, country
from read_parquet(?)
where customer_id is not null and quantity > 0 and unit_price > 0 and regexp_matches(stock_code, '^[0-9]{5}')
"""
EVENTS = """
select customer_id, stock_code, min(time) as time, sum(quantity)::integer as quantity
from sales group by customer_id, invoice_no, stock_code order by min(time), min(place)
"""
ITEMS = """
with texts as (
    select stock_code, description, count(*) as times from sales where description <> '' group by all
)
select stock_code,
       (select description from texts where texts.stock_code = sales.stock_code order by times desc, description limit 1) as description,
       round(median(unit_price), 2) as price
from sales group by stock_code order by stock_code
"""
USERS = """
select customer_id, mode(country order by country) as country from sales group by customer_id order by customer_id
"""


def clean(source: Path, target: Path = TARGET) -> dict[str, int]:
    """Writes events.parquet, items.parquet and users.parquet; returns the number of rows of each, and of the sales kept."""
    target.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        database.execute("set threads = 1")
        database.execute(SALES, [str(source)])
        ((rows,),) = database.execute("select count(*) from sales").fetchall()
        counts = {"sales": rows}
        for name, query in {"events": EVENTS, "items": ITEMS, "users": USERS}.items():
            table: pa.Table = database.sql(query).to_arrow_table()
            if name == "events":
                table = table.set_column(2, "time", table["time"].cast(pa.timestamp("s")))
            pq.write_table(table, target / f"{name}.parquet", compression="zstd", compression_level=19)
            counts[name] = table.num_rows
    return counts


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(clean(*map(Path, sys.argv[1:])))
