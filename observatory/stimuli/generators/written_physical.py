"""Physical, written by hand: events that need weight, force, heat or stuff, each beside one that needs none."""

from __future__ import annotations

from collections.abc import Sequence

from observatory.stimuli.generators.contrast import Contrast
from observatory.stimuli.generators.written_contrasts import written

CONTRASTS: Sequence[Contrast] = written("""
the heavy truck sank into the mud up to its axles
the heavy truck went into the books up to its price

a gust of wind blew the umbrella inside out
a page of news gave the umbrella rave reviews

the iron nail rusted after a month in salt water
the iron nail retailed after a month in one catalogue

the ball kept rising until gravity pulled it back
the ball kept selling until fashion ruled it out

wet clothes dry faster on a windy line
wet clothes sell better in a weekly sale

the rope stretched and then broke under the weight
the rope featured and then led in the advert

the snow on the roof slid off as the sun came out
the snow on the roof won prizes as the film came out

a magnet picked the pins out of the sand
a magazine ranked the pins out of the shop

the tyre burst when it hit the sharp kerb
the tyre sold when it met the legal standard

smoke drifted upward and spread along the ceiling
smoke was listed and taxed under the heading

the boat tilted as the cargo shifted to one side
the boat qualified as the owner applied to one office

the tent collapsed because a pole had bent
the tent expired because a lease had ended

with a long lever the boy lifted the boulder
with a long essay the boy reviewed the boulder

sand poured out of the torn sack onto the road
sand came out of the annual report as the leader

the balloon popped on the thorns of the hedge
the balloon topped the list in the latest survey

the poker glowed red in the coals and seared a thumb
the poker appeared twice in the papers and secured a vote

the pendulum swung back and forth and slowly came to rest
the pendulum was drafted again and again and came to print

the ice cracked under the skater and water welled up
the ice featured in the yearbook and orders went up

without friction the sledge would never stop
without approval the sledge would never ship

the echo of the shout came off the cliff a second later
the theme of the paper came from the cliff a decade later

the glass fogged as moist breath met the chill pane
the glass sold as public interest met the new style

a stone skipped across the lake and sank
a stone figured across the brochure and starred

the chain pulled the stump out of the ground
the chain purchased the stump out of the fund

dust settled on the table that nobody had wiped
dust featured in the novel that nobody had finished

the candle went out for lack of air in the jar
the candle went out of print by order of the court

the tower of blocks swayed and came crashing down
the tower of blocks applied and came highly recommended

the spring pushed the lid open with a snap
the spring issue put the lid on the cover

the leaves floated on the stream toward the weir
the leaves featured on the stamp for the jubilee

the pipe iced up overnight and split along its seam
the pipe sold out overnight and led in its class

the stick bent under one foot but did not break
the stick ranked under one brand but did not qualify

rain soaked through the thin coat within minutes
rain counted as a thin pretext within minutes

the kite climbed higher as the breeze grew stronger
the kite became dearer as the currency grew stronger

a crumb of bread blocked the straw
a brand of bread sponsored the straw

the wheel spun so fast that its spokes blurred
the wheel dated so early that its patent lapsed

the jar would not open until running water loosened the lid
the jar would not qualify until new rules covered the lid

the paper curled and blackened in the flame
the paper merged and relocated in the autumn

a hammer drives a nail in with a few blows
a hammer earns a star in all but few guides

the dam held back the flood until it overflowed
the dam went through the council until it passed

grease made the rail so slippery that no grip held
grease made the list so early that no rival led

the shelf sagged beneath the row of thick books
the shelf appeared above the price of thick books

the sponge soaked up the spill and dripped
the sponge ended up the winner and retired

the bowl wobbled on the rim and tipped over
the bowl appeared on the list and sold out

the arrow sank deep into the straw target
the arrow went straight into the royal museum

the current dragged the raft under the bridge
the critics praised the raft under the headline

the bridge hummed as the wagons rattled over it
the bridge benefited as the taxes expired on it

the dropped tray scattered cutlery across the tiles
the planned tray required permits across the sector

thick oil creeps but water runs down a slope
thick oil exports but water leads in a poll

sunlight bleached the curtain till its red turned pink
fashion favoured the curtain till its red turned rare
""")
