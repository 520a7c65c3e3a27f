"""Math, written by hand: reasoning with numbers, each beside the same numbers as mere labels."""

from __future__ import annotations

from collections.abc import Sequence

from observatory.stimuli.generators.contrast import Contrast
from observatory.stimuli.generators.written_contrasts import written

CONTRASTS: Sequence[Contrast] = written("""
half of the eighty seats is forty seats
row eighty of the hall faces row forty

a square with a side of 9 has an area of 81
a poster with a picture of 9 has a caption of 81

ten percent of ninety coins is nine coins
card ten beside ninety stamps is nine stamps

twelve divided by four is three
bus twelve behind four is three

the remainder of 17 divided by 5 is 2
the colour of 17 framed by 5 is 2

an even number never ends in 7
an angry caller never rings on 7

thirty is a third of ninety
thirty is a suburb of ninety

if one pen costs 3 euros then six pens cost 18 euros
if studio one plays 3 songs then studio six plays 18 songs

double the 25 cups and you have 50 cups
paint the 25 cups and you see 50 flowers

the product of 6 and 8 is 48
the owner of 6 and 8 is 48

no prime number except 2 is even
no coffee house except 2 is open

the average of 10 and 20 is 15
the neighbour of 10 and 20 is 15

a dozen eggs shared by 4 cooks is 3 eggs each
a famous inn described by 4 guides is page 3 today

two dozen is 24 and three dozen is 36
tram two is 24 and tram three is 36

fifty cents is half of one euro
fifty lanes is west of one station

a triangle has three angles that sum to 180 degrees
a magazine has three covers that fold to 180 colours

since 7 squared is 49 the root of 49 is 7
since 7 faces is 49 the rear of 49 is 7

a quarter of an hour is fifteen minutes
a portrait of an owner is fifteen streets

subtract 8 from 20 and 12 remain
forward 8 from 20 and 12 reply

the digits of 45 sum to 9
the poets of 45 write to 9

one hundred is ten groups of ten
one hundred is ten doors past ten

twice 35 is 70 and thrice 35 is 105
unit 35 is 70 and flat 35 is 105

divide the 60 cards among 5 players and each holds 12
describe the 60 cards among 5 albums and page 12 shines

20 is a multiple of 4 but not of 3
20 is a portrait of 4 but not of 3

the total of 9 and 16 and 25 is 50
the studio of 9 and 16 and 25 is 50

three fifths of fifty is thirty
three pages of fifty is thirty

if x exceeds 5 then x doubled exceeds 10
if x opens 5 then x reversed opens 10

a circle of radius 2 has a diameter of 4
a cottage of number 2 has a neighbour of 4

63 can be split into 9 equal sets of 7
63 can be read into 9 quiet rooms of 7

the odd numbers below 6 are 1 and 3 and 5
the blue houses facing 6 are 1 and 3 and 5

a price of 80 cut by a quarter is 60
a hymn of 80 sung by a choir is 60

zero added to 14 is still 14
zero mailed to 14 is still 14

3 out of 12 is 25 percent
3 out of 12 is 25 pages

round 48 to the nearest ten and the result is 50
post 48 to the nearest inn and the address is 50

five tens and two ones amount to 52
five hens and two barns belong to 52

the perimeter of a square of side 6 is 24
the gardener of a castle of door 6 is 24

if 4 tickets cost 36 then a single ticket costs 9
if 4 tickets show 36 then a single ticket shows 9

100 halved is 50 and 50 halved is 25
100 rented is 50 and 50 rented is 25

the factors of 10 are 1 and 2 and 5 and 10
the editors of 10 are 1 and 2 and 5 and 10

negative 3 lies below zero and positive 3 above
corridor 3 lies below zero and corridor 3 above

a cube has 6 faces and 12 edges
a club has 6 songs and 12 verses

at 60 miles an hour 30 miles last half an hour
at 60 castle road the 30 guests meet at an inn

2 raised to the power 5 is 32
2 tuned to the station 5 is 32

share 21 marbles evenly and 3 girls get 7 apiece
label 21 marbles neatly and 3 girls see 7 apiece

an increase from 40 to 50 is 25 percent
an interview from 40 to 50 is 25 pages

the ratio of 8 to 2 matches that of 4 to 1
the letter of 8 to 2 precedes that of 4 to 1

solve for y and y is 13 because 2 y is 26
search for y and y is 13 because 2 y is 26

eleven is prime because only one and eleven divide it
eleven is vacant because only one and eleven rent it
""")
