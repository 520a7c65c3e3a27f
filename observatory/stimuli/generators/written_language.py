"""Language, written by hand: sentences of no common construction."""

from __future__ import annotations

import random
from collections.abc import Sequence

from observatory.stimuli.generators.contrast import Contrast
from observatory.stimuli.generators.shuffling import shuffled

SENTENCES = """\
the recipe that I found in a drawer calls for fresh basil
nobody had swept the long corridor since the end of term
what the village needs is a bus that runs after dark
some of the best songs on that album were never released
a row of old lime trees leads to the main entrance
he signed the form without a glance at the small print
by the time the bread was ready the shop had closed
the second chapter is shorter than the first but no easier
those are the boots that she wore on the mountain
to reach the library you must cross the square and turn left
the museum has not yet decided where to hang the portrait
a friend of the printer designed this cover in one afternoon
not until the last page does the title of the book make sense
there is a bakery on the corner of our street
her cousin speaks three languages and is learning a fourth
the more the garden grew the less of the wall we saw
in the middle of the map lay a town with no name
we could have taken the train that leaves at the same hour
the twins share a room at the back of the house
this is the first summer that they have spent in the city
instead of a speech the guide read us an old letter
the choir will sing at the opening of the new theatre
either the road was closed or the driver took a wrong turn
a heron stood at the edge of the pond all morning
the one on the left is the older of these paintings
the captain of the team wore a scarf in the school colours
when the market moved the cafe on the square lost its charm
every house in that street has a blue door and a brass bell
the poem was so short that the class learned it in a day
under the stairs there was a box of films that nobody had seen
the editor asked for a title that would fit on one line
as soon as the paint was dry the tenants hung their pictures
the island where my aunt lives has no cars and one small shop
a clerk in a grey coat stamped the passports at the border
it was the sound of the bells that the visitors remembered
the carpet in the hall came from a market in the south
few of the letters that he wrote from the camp were kept
with a pencil and a ruler the boy copied the plan of the castle
the language of the contract was clear to the lawyers alone
in spite of the rain the fair on the green drew a crowd
the dress that hangs in the window was made in this room
the names of all the streets were painted on the tiles
no one at the hotel knew where the keys to the cellar were
the novel begins with a letter that the reader never sees
if the weather holds the farmers will cut the hay on the hill
the waiter brought us a menu in a language that none of us spoke
before the bridge was built a ferry carried the mail to the town
the only light in the street came from the window of the pharmacy
"""


def contrasts() -> Sequence[Contrast]:
    """Each sentence has a shuffle of its own, which no other sentence's text can change."""
    return [shuffled(sentence, random.Random(sentence)) for sentence in SENTENCES.splitlines()]


CONTRASTS: Sequence[Contrast] = contrasts()
