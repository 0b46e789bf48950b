"""The rules of the mini corpus: what two strangers say on the telephone about a given topic.

One rule a line, `name: alternative | alternative`; a line that begins with `  |` goes on with the rule above. In an
alternative, `<name>` expands a rule, `<name?30>` does so in 30 % of the cases, `{4}` in front is its weight (1 otherwise),
anything else is a word. Every topic defines the same five rules: thing, things, do, did, place.
"""

GENERAL = """
turn: {5} <statement> | {3} <statement> <joint> <statement> | {2} <story> | {2} <opinion> | {1} <question> | {1} <plan>
statement: {4} <opener?35> <general> | {4} <opener?35> <past> | {2} <opener?35> <habit> | {2} <opener?35> <verdict>
opinion: <opener?40> i <think> <judged> <because?40> | <opener?40> i <think> <people> <modal> <doing>
  | <pron> <said> <judged>
story: <opener?30> <when> <who> <done> and then <pron> <done>
  | <opener?30> <when> my <relative> <done> and <pron> really <felt> it
question: do you <adverb?30> <doing> <often?30> | have you ever <seen> <det> <object>
  | what do you think about <all> <things> | do you <have> <det> <object> | how long have you had <det> <thing>
  | did you <doing> <time?50> | who <done> | where did you <doing> | why <modal> <people> <doing>
plan: <opener?30> <when_next> i'm going to <doing> | <opener?30> <when_next> we <modal> <doing> <place?50>
  | <opener?30> i'd like to <doing> some day

general: <subject> <adverb?40> <like> <all> <things> | <subject> <like> to <doing>
  | <subject> never <like> to <doing> <place?40> | <subject> don't <adverb?40> <doing>
  | <subject> <have> <amount> <things> <place?40> | <subject> <have> <det> <object>
past: <who> <adverb?20> <done> <time?45> | <who> <done> <place?40> | <who> didn't <doing> <time?35>
  | i remember <who> <done> <time?30> | <who> <wished> to <doing> <because?30>
habit: <subject> used to <doing> <often?50> | <subject> usually <doing> <often?50>
  | <subject> <modal> <doing> <place?30> | <subject> try to <doing> <often?40> | <who> would <doing> all the time
verdict: <det> <object> <is> <degree?50> <quality> | <all> <things> are <degree?50> <quality> <now?30>
  | it's <degree?40> <quality> to <doing> | there <is> <amount> <things> <place>
object: {5} <look?25> <thing> | {2} <look?25> <thing> <place> | {1} <thing> with <det> <thing>
  | {1} <thing> for my <relative>

look: little | old | new | big | red | blue | green | white | black | brown | wooden | american | japanese | tiny
  | huge | long | short | dirty | empty | special | ugly | pretty

doing: {4} <do> | {5} <act> <det> <object> | {3} <act> <all> <things> | {1} <motion> <place>
done: {4} <did> | {5} <acted> <det> <object> | {3} <acted> <amount> <things> | {1} <moved> <place>
act: {3} find | {3} buy | {2} sell | {2} use | {3} get | {2} keep | {2} look at | {2} talk about | {2} see
  | {1} worry about | {1} pay for | {1} fix | {1} bring | {1} borrow | {1} need | {1} show them | {1} move
  | {1} wait for | {1} share | {1} choose | {1} leave | {1} draw | {1} watch | {1} check | {1} ask about
  | {1} complain about | {1} dream about | {1} avoid | {1} remember | {1} build | {1} carry | {1} hide | {1} open
  | {1} pick up | {1} replace | {1} return | {1} save | {1} start | {1} stop | {1} touch | {1} trade | {1} trust
  | {1} turn off | {1} understand | {1} vote for | {1} count
acted: {3} found | {3} bought | {2} sold | {2} used | {3} got | {2} kept | {2} looked at | {2} talked about | {2} saw
  | {1} worried about | {1} paid for | {1} fixed | {1} brought | {1} borrowed | {1} needed | {1} gave me | {1} moved
  | {1} waited for | {1} shared | {1} chose | {1} left | {1} drew | {1} watched | {1} checked | {1} asked about
  | {1} complained about | {1} dreamed about | {1} broke | {1} remembered | {1} built | {1} carried | {1} hid
  | {1} opened | {1} picked up | {1} replaced | {1} returned | {1} saved | {1} started | {1} stopped | {1} touched
  | {1} traded | {1} trusted | {1} turned off | {1} understood | {1} voted for | {1} counted
motion: stay | sit | go back | live | meet people | spend time | relax | get lost
moved: stayed | sat | went back | lived | met people | spent time | relaxed | got lost
modal: {3} should | {3} can | {2} could | {3} would | {2} might | {2} have to | {1} can't | {1} shouldn't | {1} won't
adverb: {3} really | {3} just | {2} always | {1} sometimes | {1} still | {1} probably | {1} even | {1} also
  | {1} finally
said: said | told me | thinks | knows | heard
is: {4} is | {3} was | {1} isn't | {1} wasn't | {1} seems | {1} looked
wished: wanted | tried | decided | learned | forgot | planned

judged: <det> <thing> is <degree> <quality> | it's <degree> <quality> to <doing> | <people> <act> <things> too much
  | <all> <things> cost too much
because: because <who> <done> | because it's <degree?50> <quality> | because of the <thing> | but i'm not sure
joint: {4} and | {3} but | {2} so | {1} because | {1} and then | {1} and you know
opener: {8} <filler> | {5} well | {4} yeah | {3} you know | {2} oh | {2} but | {2} so | {2} and | {1} i mean
  | {1} well <filler> | {1} yeah i guess | {1} no | {1} right | {1} actually | {1} of course | {1} to tell the truth
filler: {3} uh | {2} um
hesitation: {4} uh | {3} um | {2} you know | {1} like | {1} i mean | {1} well | {1} basically
backchannel: {8} uh-huh | {8} yeah | {4} right | {3} oh really | {2} oh | {2} okay | {2} yeah yeah | {2} that's true
  | {1} oh yeah | {1} exactly | {1} wow | {1} sure | {1} i see | {1} no kidding | {1} oh no | {1} that's nice
  | {1} that's right | {1} i agree | {1} huh | {1} oh my goodness | {1} me too | {1} good for you
greeting: hi this is <name> | hello my name is <name> and i'm from <state> | hi how are you
  | hello i'm <name> calling from <state> | so our topic today is <things>
farewell: well it was nice talking to you | okay bye | well have a good day | thank you it was fun
  | okay take care bye bye | well i guess our time is up
name: bob | mary | david | linda | steve | susan | mike | karen | jim | nancy
state: texas | california | new york | ohio | virginia | georgia | florida | maryland | colorado | michigan

subject: {8} i | {4} we | {3} you | {4} they | {2} <people> | {1} my kids | {1} the neighbors | {1} my parents
who: {8} i | {4} we | {3} he | {3} she | {3} they | {2} my <relative> | {1} <people> | {1} somebody
  | {1} a friend of mine
pron: {3} he | {3} she | {2} we | {2} i
people: {4} people | {2} most people | {1} everybody here | {1} young people | {1} folks around here
relative: {4} wife | {4} husband | {3} brother | {3} sister | {2} mother | {3} father | {2} son | {2} daughter
  | {1} uncle | {1} cousin | {1} boss | {1} roommate | {1} grandmother
think: {6} think | {2} guess | {2} believe | {1} suppose | {1} don't think | {1} would say
like: {6} like | {3} love | {2} enjoy | {2} hate | {1} prefer | {1} need | {2} want | {1} miss
have: {5} have | {2} had | {1} got | {1} keep | {1} bought
felt: loved | hated | enjoyed | regretted | needed
seen: {3} seen | {1} owned | {1} wanted | {1} lost | {1} tried
det: {5} the | {4} a | {3} my | {2} that | {2} our | {1} this | {1} your | {1} <det_adj> | {1} a <quality>
det_adj: my old | that new | our first | the other | the same | the last | my favorite | the whole | a different
all: {4} the | {3} all the | {3} <none> | {2} those | {2} most | {1} good | {1} these | {1} other | {1} expensive
none:
amount: {4} a lot of | {3} some | {2} two | {2} a couple of | {1} three | {1} six | {1} many | {1} a few | {1} enough
  | {1} several | {1} hundreds of | {1} half of the | {1} so many | {1} too many | {1} plenty of | {1} four or five
  | {1} no
degree: {4} very | {4} really | {3} pretty | {2} so | {2} too | {1} kind of | {1} just | {1} quite | {1} awfully
quality: {4} good | {3} nice | {3} hard | {2} expensive | {2} big | {2} bad | {2} different | {2} easy | {2} great
  | {1} cheap | {1} strange | {1} wonderful | {1} terrible | {1} important | {1} interesting | {1} beautiful
  | {1} dangerous | {1} boring | {1} fun | {1} popular | {1} slow | {1} quiet
often: {3} every day | {3} on weekends | {2} once a week | {2} all the time | {1} in the summer | {1} in the winter
  | {1} at night | {1} in the morning | {1} every chance i get | {1} once in a while | {1} after work
time: {3} last year | {3} yesterday | {2} last week | {2} a few years ago | {1} a month ago | {1} this morning
  | {1} last night | {1} a long time ago | {1} in college | {1} for twenty years | {1} before we got married
when: {3} last summer | {2} one time | {2} when i was young | {1} when we lived in <state> | {1} about ten years ago
  | {1} on christmas day | {1} the other night | {1} last weekend
when_next: {3} next year | {2} this summer | {2} tomorrow | {1} next month | {1} on saturday | {1} on sunday
  | {1} if the weather is nice | {1} when i retire
now: now | these days | nowadays | around here | over there
"""

TOPICS = {
    "fishing": """
thing: boat | lake | river | fish | rod | cabin | bass | tent | dock | hook | net | canoe | shore | campfire | lantern
  | storm | pond
things: fish | worms | boats | lakes | trout | mosquitoes | camping trips | minnows | bears | hooks | stories | trails
do: go fishing | catch a fish | rent a boat | go camping | sleep in a tent | clean the fish | build a fire
  | throw them back
did: went fishing | caught a big one | rented a boat | slept in a tent | fell in the water | lost the bait
  | built a fire
place: at the lake | on the river | in the mountains | near the dock | by the ocean
""",
    "cooking": """
thing: kitchen | recipe | oven | chicken | soup | salad | cake | restaurant | dinner | pan | stove | pizza | sandwich
  | menu | grocery store | freezer | turkey
things: vegetables | potatoes | desserts | cookies | spices | restaurants | noodles | onions | beans | eggs | dishes
  | recipes | leftovers
do: cook dinner | bake bread | eat out | make soup | try a recipe | grill a steak | chop the onions
  | invite people for dinner
did: cooked dinner | baked a cake | burned the rice | ate too much | made some soup | tried a new recipe
  | forgot the salt
place: in the kitchen | at a restaurant | on the grill | at my mother's house | at home
""",
    "cars": """
thing: car | truck | engine | van | mechanic | battery | garage | transmission | warranty | clutch | motor | bumper
  | convertible | radiator | pickup | license | ford
things: cars | tires | trucks | brakes | repairs | payments | foreign cars | seat belts | seats | miles | mechanics
  | motors | spark plugs
do: drive to work | change the oil | buy a car | fix the brakes | wash the car | sell the truck | drive a stick shift
did: drove to work | bought a used car | fixed the engine | sold the truck | had a flat tire | ran out of gas
  | hit a deer
place: in the garage | on the highway | at the dealer | in traffic | in the driveway
""",
    "pets": """
thing: dog | cat | puppy | kitten | horse | collie | fence | veterinarian | bird | hamster | rabbit | leash | poodle
  | snake | parrot | barn | pet
things: dogs | cats | pets | animals | fleas | kittens | goldfish | shots | mice | puppies | horses | toys | rabbits
do: walk the dog | feed the cat | brush the horse | get a puppy | go to the vet | train a dog | let them sleep inside
did: walked the dog | fed the cat | got a puppy | chased the mailman | bit my neighbor | ran away | had six kittens
place: in the yard | on the couch | at the vet | on a farm | in the house
""",
    "music": """
thing: band | song | guitar | piano | radio | concert | record | singer | choir | violin | drum | trumpet | melody
  | stereo | album | audience | orchestra
things: songs | records | concerts | lessons | tapes | bands | classical music | country songs | guitars | voices
  | stations | dances | singers
do: play the piano | listen to the radio | sing in church | go to a concert | buy records | learn the guitar
  | dance a little
did: played the guitar | sang in a choir | heard a good song | went to a concert | bought some tapes | learned the drums
place: on the radio | in the car | at church | in a band | on stage
""",
    "gardens": """
thing: garden | lawn | tree | flower bed | mower | backyard | fence | tomato | rose bush | shovel | hose | hedge
  | oak tree | patio | vine | pumpkin | greenhouse
things: flowers | tomatoes | weeds | leaves | trees | roses | beans | peppers | bugs | seeds | bushes | squirrels
  | apples | shrubs
do: mow the lawn | pull weeds | plant tomatoes | water the flowers | rake the leaves | paint the fence | dig a hole
did: mowed the lawn | planted a tree | pulled the weeds | watered the roses | cut the grass | painted the house
  | killed the plants
place: in the garden | in the backyard | under the trees | behind the house | on the porch
""",
    "sports": """
thing: team | game | coach | season | stadium | player | ball | quarterback | ticket | score | trophy | racket
  | umpire | tournament | helmet | pitcher | match
things: games | sports | players | tickets | golf balls | teams | baseball cards | referees | fans | points | injuries
  | leagues | rules
do: watch football | play golf | play tennis | go to a game | jog a mile | root for the cowboys | swim laps
did: watched the game | played softball | won the championship | hurt my knee | lost by one point | scored a touchdown
  | joined a league
place: at the gym | on television | at the stadium | on the field | at the pool
""",
    "schools": """
thing: school | teacher | class | college | test | principal | degree | classroom | textbook | lesson | essay | bus
  | report card | desk | professor | scholarship | library
things: schools | teachers | kids | grades | taxes | computers | students | books | classes | teenagers | exams
  | lessons | parents | bills
do: teach math | help the kids | go to college | study history | read books | take a class | do homework
  | raise the taxes
did: taught school | graduated from college | studied spanish | failed a test | took a class | quit teaching
  | read a book
place: at school | in the classroom | at the library | in first grade | on campus
""",
    "jobs": """
thing: job | company | office | computer | manager | salary | meeting | project | paycheck | budget | contract
  | career | desk | client | printer | union | raise
things: jobs | benefits | hours | meetings | computers | customers | vacations | managers | contracts | lawyers
  | deadlines | machines | letters
do: work at home | look for a job | write programs | travel on business | wear a suit | save money | make phone calls
  | hire people
did: worked overtime | changed jobs | got laid off | started a business | wrote a report | made good money
  | retired early
place: at work | in an office | at the plant | downtown | on the phone
""",
    "travel": """
thing: trip | beach | hotel | plane | vacation | camera | cruise | passport | map | suitcase | island | train | tour
  | airport | castle | bridge | ship
things: trips | hotels | airports | pictures | museums | crowds | beaches | flights | tourists | bags | roads
  | souvenirs | cities
do: go to the beach | fly to europe | drive to mexico | visit my family | take pictures | see the mountains
  | stay in a hotel
did: went to hawaii | flew to germany | drove across the country | visited my aunt | took some pictures
  | missed the plane | stayed a week
place: at the beach | in canada | on the plane | at the airport | in the desert
""",
}
