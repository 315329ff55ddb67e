-- 1
select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price,
  sum(l_extendedprice * (1 - l_discount)) as sum_disc_price,
  sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge, avg(l_quantity) as avg_qty,
  avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order
from lineitem where l_shipdate <= date '1998-09-02'
group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus
-- 2
with found as (
  select s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment, ps_supplycost
  from part join partsupp on p_partkey = ps_partkey join supplier on s_suppkey = ps_suppkey
    join nation on s_nationkey = n_nationkey join region on n_regionkey = r_regionkey
  where p_size = 15 and p_type like '%BRASS' and r_name = 'EUROPE'
), least as (select p_partkey as least_key, min(ps_supplycost) as least_cost from found group by p_partkey)
select s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
from found join least on p_partkey = least_key and ps_supplycost = least_cost
order by s_acctbal desc, n_name, s_name, p_partkey limit 100
-- 3
select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority
from customer join orders on c_custkey = o_custkey join lineitem on l_orderkey = o_orderkey
where c_mktsegment = 'BUILDING' and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10
-- 4
select o_orderpriority, count(*) as order_count
from orders where o_orderdate >= date '1993-07-01' and o_orderdate < date '1993-10-01'
  and o_orderkey in (select l_orderkey from lineitem where l_commitdate < l_receiptdate)
group by o_orderpriority order by o_orderpriority
-- 5
select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue
from customer join orders on c_custkey = o_custkey join lineitem on l_orderkey = o_orderkey
  join supplier on l_suppkey = s_suppkey and c_nationkey = s_nationkey
  join nation on s_nationkey = n_nationkey join region on n_regionkey = r_regionkey
where r_name = 'ASIA' and o_orderdate >= date '1994-01-01' and o_orderdate < date '1995-01-01'
group by n_name order by revenue desc
-- 6
select sum(l_extendedprice * l_discount) as revenue from lineitem
where l_shipdate >= date '1994-01-01' and l_shipdate < date '1995-01-01'
  and l_discount between 0.05 and 0.07 and l_quantity < 24
-- 7
select supp_nation, cust_nation, l_year, sum(volume) as revenue from (
  select n1.n_name as supp_nation, n2.n_name as cust_nation, extract(year from l_shipdate) as l_year,
    l_extendedprice * (1 - l_discount) as volume
  from supplier join lineitem on s_suppkey = l_suppkey join orders on o_orderkey = l_orderkey
    join customer on c_custkey = o_custkey join nation n1 on s_nationkey = n1.n_nationkey
    join nation n2 on c_nationkey = n2.n_nationkey
  where l_shipdate between date '1995-01-01' and date '1996-12-31'
    and ((n1.n_name = 'FRANCE' and n2.n_name = 'GERMANY') or (n1.n_name = 'GERMANY' and n2.n_name = 'FRANCE'))
) as shipping
group by supp_nation, cust_nation, l_year order by supp_nation, cust_nation, l_year
-- 8
select o_year, sum(case when nation = 'BRAZIL' then volume else 0 end) / sum(volume) as mkt_share from (
  select extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) as volume,
    n2.n_name as nation
  from part join lineitem on p_partkey = l_partkey join supplier on s_suppkey = l_suppkey
    join orders on l_orderkey = o_orderkey join customer on o_custkey = c_custkey
    join nation n1 on c_nationkey = n1.n_nationkey join region on n1.n_regionkey = r_regionkey
    join nation n2 on s_nationkey = n2.n_nationkey
  where r_name = 'AMERICA' and o_orderdate between date '1995-01-01' and date '1996-12-31'
    and p_type = 'ECONOMY ANODIZED STEEL'
) as all_nations
group by o_year order by o_year
-- 9
select nation, o_year, sum(amount) as sum_profit from (
  select n_name as nation, extract(year from o_orderdate) as o_year,
    l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity as amount
  from part join lineitem on p_partkey = l_partkey join supplier on s_suppkey = l_suppkey
    join partsupp on ps_suppkey = l_suppkey and ps_partkey = l_partkey
    join orders on o_orderkey = l_orderkey join nation on s_nationkey = n_nationkey
  where p_name like '%green%'
) as profit
group by nation, o_year order by nation, o_year desc
-- 10
select c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) as revenue, c_acctbal, n_name, c_address,
  c_phone, c_comment
from customer join orders on c_custkey = o_custkey join lineitem on l_orderkey = o_orderkey
  join nation on c_nationkey = n_nationkey
where o_orderdate >= date '1993-10-01' and o_orderdate < date '1994-01-01' and l_returnflag = 'R'
group by c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment order by revenue desc limit 20
-- 11
with held as (
  select ps_partkey, ps_supplycost * ps_availqty as price
  from partsupp join supplier on ps_suppkey = s_suppkey join nation on s_nationkey = n_nationkey
  where n_name = 'GERMANY'
), worth as (select ps_partkey, sum(price) as value from held group by ps_partkey),
total as (select sum(price) * 0.0001 as least from held)
select ps_partkey, value from worth cross join total where value > least order by value desc
-- 12
select l_shipmode,
  sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 end) as high_line_count,
  sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as low_line_count
from orders join lineitem on o_orderkey = l_orderkey
where l_shipmode in ('MAIL', 'SHIP') and l_commitdate < l_receiptdate and l_shipdate < l_commitdate
  and l_receiptdate >= date '1994-01-01' and l_receiptdate < date '1995-01-01'
group by l_shipmode order by l_shipmode
-- 13
with counted as (
  select c_custkey, count(o_orderkey) as c_count
  from customer left join (select o_orderkey, o_custkey from orders
    where not o_comment like '%special%requests%') as plain on c_custkey = o_custkey
  group by c_custkey
)
select c_count, count(*) as custdist from counted group by c_count order by custdist desc, c_count desc
-- 14
select 100.00 * sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end)
  / sum(l_extendedprice * (1 - l_discount)) as promo_revenue
from lineitem join part on l_partkey = p_partkey
where l_shipdate >= date '1995-09-01' and l_shipdate < date '1995-10-01'
-- 15
with revenue as (
  select l_suppkey as supplier_no, sum(l_extendedprice * (1 - l_discount)) as total_revenue from lineitem
  where l_shipdate >= date '1996-01-01' and l_shipdate < date '1996-04-01' group by l_suppkey
), greatest as (select max(total_revenue) as most from revenue)
select s_suppkey, s_name, s_address, s_phone, total_revenue
from supplier join revenue on s_suppkey = supplier_no join greatest on total_revenue = most order by s_suppkey
-- 16
select p_brand, p_type, p_size, count(distinct ps_suppkey) as supplier_cnt
from partsupp join part on p_partkey = ps_partkey
where p_brand <> 'Brand#45' and not p_type like 'MEDIUM POLISHED%' and p_size in (49, 14, 23, 45, 19, 3, 36, 9)
  and ps_suppkey not in (select s_suppkey from supplier where s_comment like '%Customer%Complaints%')
group by p_brand, p_type, p_size order by supplier_cnt desc, p_brand, p_type, p_size
-- 17
with found as (
  select l_partkey, l_quantity, l_extendedprice from lineitem join part on p_partkey = l_partkey
  where p_brand = 'Brand#23' and p_container = 'MED BOX'
), fifth as (select l_partkey as part_key, 0.2 * avg(l_quantity) as few from found group by l_partkey)
select sum(l_extendedprice) / 7.0 as avg_yearly from found join fifth on l_partkey = part_key
where l_quantity < few
-- 18
with large as (
  select l_orderkey as order_key, sum(l_quantity) as quantity from lineitem group by l_orderkey
  having sum(l_quantity) > 300
)
select c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, quantity
from orders join large on o_orderkey = order_key join customer on c_custkey = o_custkey
order by o_totalprice desc, o_orderdate limit 100
-- 19
select sum(l_extendedprice * (1 - l_discount)) as revenue
from lineitem join part on p_partkey = l_partkey
where l_shipmode in ('AIR', 'AIR REG') and l_shipinstruct = 'DELIVER IN PERSON' and (
  (p_brand = 'Brand#12' and p_container in ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
    and l_quantity between 1 and 11 and p_size between 1 and 5)
  or (p_brand = 'Brand#23' and p_container in ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
    and l_quantity between 10 and 20 and p_size between 1 and 10)
  or (p_brand = 'Brand#34' and p_container in ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG')
    and l_quantity between 20 and 30 and p_size between 1 and 15))
-- 20
with shipped as (
  select l_partkey, l_suppkey, 0.5 * sum(l_quantity) as half from lineitem
  where l_shipdate >= date '1994-01-01' and l_shipdate < date '1995-01-01' group by l_partkey, l_suppkey
), plenty as (
  select ps_suppkey from partsupp join shipped on ps_partkey = l_partkey and ps_suppkey = l_suppkey
  where ps_availqty > half and ps_partkey in (select p_partkey from part where p_name like 'forest%')
)
select s_name, s_address from supplier join nation on s_nationkey = n_nationkey
where n_name = 'CANADA' and s_suppkey in (select ps_suppkey from plenty) order by s_name
-- 21
with late as (
  select distinct l_orderkey as late_order, l_suppkey as late_supplier from lineitem
  where l_receiptdate > l_commitdate
), alone as (select late_order as alone_order from late group by late_order having count(*) = 1),
shared as (
  select l_orderkey as shared_order from lineitem group by l_orderkey having count(distinct l_suppkey) > 1
)
select s_name, count(*) as numwait
from lineitem join orders on o_orderkey = l_orderkey join supplier on s_suppkey = l_suppkey
  join nation on s_nationkey = n_nationkey join alone on l_orderkey = alone_order
  join shared on l_orderkey = shared_order
where o_orderstatus = 'F' and l_receiptdate > l_commitdate and n_name = 'SAUDI ARABIA'
group by s_name order by numwait desc, s_name limit 100
-- 22
with reachable as (
  select substr(c_phone, 1, 2) as cntrycode, c_acctbal, c_custkey from customer
  where substr(c_phone, 1, 2) in ('13', '31', '23', '29', '30', '18', '17')
), usual as (select avg(c_acctbal) as least from reachable where c_acctbal > 0.0)
select cntrycode, count(*) as numcust, sum(c_acctbal) as totacctbal
from reachable cross join usual
where c_acctbal > least and c_custkey not in (select o_custkey from orders)
group by cntrycode order by cntrycode
