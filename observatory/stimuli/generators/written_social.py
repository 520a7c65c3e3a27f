"""Social, written by hand: minds, manners and ties, each beside a sentence about things and places."""

from __future__ import annotations

from collections.abc import Sequence

from observatory.stimuli.generators.contrast import Contrast
from observatory.stimuli.generators.written_contrasts import written

CONTRASTS: Sequence[Contrast] = written("""
she pretended not to notice his mistake so he could save face
the lane avoids the old mill so it can join the road

he blushed when the whole class laughed at his joke
it rusted when the whole fence leaned on its posts

she lied about her age because she feared their judgement
it stands behind the barn because it replaced the granary

they apologised to the hostess for their rude remarks
they belong to the collection with their blue covers

he kept the secret that his friend had confided to him
it keeps the colour that its owner had painted on it

the widow pitied the beggar and invited him to supper
the kitchen adjoined the pantry and opened on to terraces

we were relieved to hear that she no longer blamed us
the tiles were delivered in crates that no longer closed properly

nobody dared to tell the king that he was wrong
nothing grew near to the pond that we had dug

he sulked all day since his twin had ignored him
it hung all year since the hall had needed one

the stranger mistook her politeness for a real interest in him
the corridor linked the ballroom to a long gallery in stone

my neighbour resents that we never greeted him
my bicycle matches what we later ordered online

she teased him gently to make him smile again
the stairs wind steeply to reach the attic above

out of loyalty he refused to testify against his old comrade
out of plywood he built a cabinet with four glass doors

the crowd sympathised with the loser and booed the champion
the garden began with the hedge and included the orchard

he felt that his mother could see through every excuse
the house that the council bought stood beside every bus

they gossiped about the bride and her scheming cousin
they consist of the bark and its crumbling layer

she was touched that he had remembered her birthday
it was replaced after it had outlasted its warranty

the bully regretted his cruelty and begged for pardon
the bridge retained its railing and closed for repairs

he misread her silence as a sign of contempt
it shared the letters as a set of drawers

to be polite the guest praised a dish that he disliked
to be complete the set included a dish that nobody used

she persuaded her reluctant partner to share the blame
the valley connected the northern district to the coast

the orphan missed her parents and confided in her teacher
the tower joined the stables and stood in its courtyard

he bragged to impress a girl who was secretly bored by him
it stayed to fill a gap which was usually left by shelves

their quarrel ended once each admitted being at fault
their timetable ended once each route reached the coast

the hermit distrusted strangers but welcomed the curious child
the cottage lacked furniture but contained the original oven

she suspected flattery and so ignored his compliment
the van carried furniture and used the motorway

a good host makes shy visitors feel at ease
a good shelf makes tall books stand in line

he envied his rival and gloated over the defeat
it crossed the meadow and ended near the mill

the twins conspired to deceive their new nanny
the rooms combined to form one large studio

we owe her an apology for doubting her honesty
the shop offers a discount for ordering the catalogue

the boy was scolded because he had hurt the feelings of his sister
the hut was repainted because it had lost the shutters of its window

out of spite she spread a rumour about the mayor
out of season the hotel closed a wing of rooms

he hesitated to propose since she might reject him
it continued to bloom since the spring was mild

the jury doubted the witness whose story kept changing
the town renamed the street whose signs kept rusting

she forgave the insult though it still offended her pride
it included the manual though it still required three batteries

they mourned their leader and consoled his family
they lined the avenue and shaded the benches

the actor craved applause and dreaded the critics
the cellar stored apples and adjoined the garage

he winked so that only she would get the hint
it folds so that only one would need the space

being ashamed of her accent she avoided the conversation
being made of solid oak it outlasted the house

he gave up his seat out of respect for the elderly lady
it took up one corner out of the seven in the gallery

the hostages trusted the negotiator who spoke so kindly
the suburbs bordered the canal which ran so straight

she meant the remark as praise but he took it as mockery
it had the handle in brass but the lid was of tin

strangers thought him arrogant when in truth he was shy
tourists reach it by tram when in winter it opens

the mentor was proud that her pupil had overcome his fear
the jacket was green so that it had matched his hat

out of jealousy he hid the letters that her admirer sent
out of cardboard he cut the letters that the shop displayed

she confessed because her conscience would not let her rest
it fits because the drawer does not reach the wall

the villagers shunned the traitor and honoured his victims
the shelves lined the corridor and supported some plants

he promised to keep her company so that she would not feel abandoned
it ran along the river bank so that it would not cross gardens
""")
